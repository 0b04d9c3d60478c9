"""Expositions: what is taken in, what is refused and why."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gate.prometheus import duplicate_series, exposition
from gate.prometheus.duplicate_series import DuplicateDetector
from gate.prometheus.exposition import LimitExceededError, parse_exposition, reread_samples

TEXT = b"""# HELP veza_requests_total Requests, by status.\\nAll of them.
# TYPE veza_requests_total counter
veza_requests_total{method="GET",status="200"} 1027 1395066363000
veza_requests_total{ status = "500" , method="GET", } 3
# TYPE latency_seconds histogram
latency_seconds_bucket{le="0.5"} 1
latency_seconds_bucket{le="+Inf"} 2
latency_seconds_sum 2.5e3
latency_seconds_count 2

# just a comment
temperature{place="c:\\\\d \\"x\\""} NaN
{"my.metric", "a.b"="c"} +Inf
"""
OPENMETRICS = b"""# TYPE veza_requests counter
# HELP veza_requests Requests.
veza_requests_total{status="200"} 5 1395066363.5 # {trace_id="abc"} 1 1395066363.1
veza_requests_created{status="200"} 1.5e9
# TYPE latency_seconds histogram
# UNIT latency_seconds seconds
latency_seconds_bucket{le="+Inf"} 2
latency_seconds_count 2
# EOF
"""


def reasons(text: bytes, *, openmetrics: bool = False) -> list[tuple[int, str]]:
    """Return line and reason of each error."""
    found = parse_exposition([text], openmetrics=openmetrics)
    return [(problem.line, str(problem.reason)) for problem in found.problems]


def test_text_is_read_into_families() -> None:
    """Families have their type, help and number of samples."""
    found = parse_exposition([TEXT])
    assert found.problems == []
    family = found.families["veza_requests_total"]
    assert (family.type, family.samples) == ("counter", 2)
    assert found.families["latency_seconds"].samples == 4
    assert found.samples == 8
    assert found.lines == 13


def test_openmetrics_is_read_into_families() -> None:
    """Samples with the suffixes of OpenMetrics belong to the family that was declared."""
    found = parse_exposition([OPENMETRICS], openmetrics=True)
    assert found.problems == []
    assert {name: f.samples for name, f in found.families.items()} == {"veza_requests": 2, "latency_seconds": 2}
    assert found.families["latency_seconds"].unit == "seconds"


@pytest.mark.parametrize("size", [1, 7, 100, 10_000])
def test_the_cut_into_chunks_does_not_matter(size: int) -> None:
    """However the bytes arrive, the same is read."""
    found = parse_exposition(TEXT[start : start + size] for start in range(0, len(TEXT), size))
    assert (parse_exposition([TEXT]).families, []) == (found.families, found.problems)


def test_samples_can_be_read_again() -> None:
    """What was read once is found again with its labels and values, quoted names included."""
    found = parse_exposition([TEXT])
    family = found.find_family("veza_requests_total")
    assert family is not None
    line, offset = found.offset_of(family)
    again = list(reread_samples([TEXT[offset:]], line, family.last, lambda name: name.startswith("veza_")))
    assert [(sample.labels, sample.value, sample.line) for sample in again] == [
        ({"method": "GET", "status": "200"}, 1027.0, 3),
        ({"status": "500", "method": "GET"}, 3.0, 4),
    ]
    last = list(reread_samples([TEXT], 1, 99, lambda name: name in ("temperature", "my.metric")))
    assert [sample.labels for sample in last] == [{"place": 'c:\\d "x"'}, {"a.b": "c"}]


def test_a_sample_name_finds_its_family() -> None:
    """`latency_seconds_bucket` is found in the family `latency_seconds`; a TYPE without samples is not found."""
    found = parse_exposition([TEXT + b"# TYPE nothing gauge\n"])
    family = found.find_family("latency_seconds_bucket")
    assert family is found.families["latency_seconds"]
    assert None is found.find_family("nothing")
    assert None is found.find_family("latency_seconds_total")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"up", "The value is missing, which is not a number"),
        (b"up one", "The value is one, which is not a number"),
        (b"up 1\r", "The value is 1\r, which is not a number"),
        (b"up 1_0", "The value is 1_0, which is not a number"),
        (b"up 0x1p2", "The value is 0x1p2, which is not a number"),
        (b"up 1e999", "The value 1e999 is out of range"),
        (b"up 1 ", "After the value comes a timestamp in milliseconds or nothing, not a blank"),
        (b"up 1 12.5", "After the value comes a timestamp in milliseconds or nothing, not 12.5"),
        (b"up 1 9223372036854775808", "The timestamp 9223372036854775808 is out of range"),
        (b"5up 1", "A line starts with a metric name, with { or with #"),
        (b"<html>", "A line starts with a metric name, with { or with #"),
        (b'up{a="1" b="2"} 1', 'A comma or } is expected before b="2"} 1'),
        (b'up{a="1"', "A comma or } is expected before the end"),
        (b'up{a="1} 1', "The value of the label a has no end"),
        (b"up{a=1} 1", '" is expected before the value of the label a'),
        (b"up{a} 1", "= is expected after the label name a"),
        (b'up{,} 1', ",} 1 is not a label name"),
        (b'up{a="\\x"} 1', "The value of the label a has an invalid escape sequence"),
        (b'up{a="\xff"} 1', '"\ufffd" is not valid UTF-8'),
        (b'up{a="1",a="2"} 1', "A label name is given twice"),
        (b'up{__name__="x"} 1', "The label name __name__ is reserved"),
        (b'{a="1"} 1', "There is no metric name"),
        (b'up{"b"} 1', 'A second metric name, "b"'),
        (b"up 1\x00", "There is a NUL byte in the line"),
        (b"# TYPE up speed", "speed is not a metric type"),
        (b"# TYPE up", '"" is not a metric type'),
        (b"# TYPE 5 gauge", "5 is not a metric name"),
        (b"# HELP up a\\t", "HELP of up has an invalid escape sequence: \\t"),
        (b"# HELP before a", "A second HELP of before"),
        (b"# TYPE before gauge", "TYPE of before comes after its samples"),
        (b"# TYPE h gauge", "A second TYPE of h"),
        (b'h_bucket{le="one"} 1', 'h is a histogram, and le="one" is not a number'),
        (b"before 3", "Duplicate series, first given on line 2"),
    ],
)  # fmt: skip
def test_a_bad_line_of_text_is_named(line: bytes, reason: str) -> None:
    """The first problem is the bad line, with its number and the reason."""
    text = b"# HELP before b\nbefore 2\n# TYPE h histogram\n" + line + b"\nafter 4\n"
    assert [(4, reason)] == reasons(text)


@pytest.mark.parametrize(
    ("lines", "line", "reason"),
    [
        (b"up 1\n", 1, 'The exposition does not end with "# EOF": it was cut short'),
        (b"# EOF\nup 1\n", 2, 'There is something after "# EOF"'),
        (b"\n# EOF\n", 1, "OpenMetrics has no empty lines"),
        (b"# hello\n# EOF\n", 1,
         'OpenMetrics has only "# HELP name text", "# TYPE name type", "# UNIT name unit" and "# EOF"'),
        (b"up  1\n# EOF\n", 1, "The value is missing, which is not a number"),
        (b'up{a="1", b="2"} 1\n# EOF\n', 1, ' b="2"} 1 is not a label name'),
        (b"up 1 now\n# EOF\n", 1, "now is not a timestamp in seconds"),
        (b'a_total 1 # {id="' + b"x" * 127 + b'"} 1\n# EOF\n', 1,
         "The exemplar's labels have 129 characters, more than 128"),
        (b"# UNIT up seconds\n# EOF\n", 1, "The unit seconds is not a suffix of the name up"),
        (b"# TYPE up untyped\n# EOF\n", 1, "untyped is not a metric type"),
        (b"up 1\n# HELP up late\n# EOF\n", 2, "HELP of up comes after its samples"),
        (b'a{x="1"} 1\nb 1\na{x="2"} 1\n# EOF\n', 3, "The samples of a are not all in one place"),
    ],
)  # fmt: skip
def test_a_bad_line_of_openmetrics_is_named(lines: bytes, line: int, reason: str) -> None:
    """The first problem is the bad line, with its number and the reason."""
    assert [(line, reason)] == reasons(lines, openmetrics=True)


@pytest.mark.parametrize(
    ("lines", "openmetrics", "reason"),
    [
        (b" up 1\n", False, "There is a blank before the metric name, which other parsers reject"),
        (b'\t{"up"} 1\n', False, "There is a blank before the metric name, which other parsers reject"),
        (b'up{a="\0"} 1\n', False, "There is a NUL byte in the value of a label, which other parsers reject"),
        (b'up{a="\0"} 1\n# EOF\n', True, "There is a NUL byte in the value of a label, which other parsers reject"),
        (b"up 1 # {} 1\n# EOF\n", True,
         "up has an exemplar; OpenMetrics has them for counters and buckets only"),
    ],
)  # fmt: skip
def test_what_only_prometheus_takes_is_a_warning(lines: bytes, openmetrics: bool, reason: str) -> None:
    """A line that Prometheus takes without loss is valid, and named for those who expose it to others."""
    found = parse_exposition([lines], openmetrics=openmetrics)
    assert (found.problems, found.samples) == ([], 1)
    assert [(1, reason)] == [(warning.line, str(warning.reason)) for warning in found.warnings]


@pytest.mark.parametrize(
    ("lines", "openmetrics"),
    [
        (b'up{a="1",} 1\n# EOF\n', True),
        (b'{"up",} 1\n# EOF\n', True),
        (b'a_total 1 # {x="1",} 1\n# EOF\n', True),
        (b'# HELP "a\\xb" text\n# EOF\n', True),
        (b'up{a="1",} 1\n', False),
        (b'{"http.requests","a b"="1"} 1\n', False),
    ],
)
def test_what_prometheus_takes(lines: bytes, openmetrics: bool) -> None:
    """These are valid, without a warning."""
    found = parse_exposition([lines], openmetrics=openmetrics)
    assert (found.problems, found.warnings) == ([], [])


@pytest.mark.parametrize("openmetrics", [False, True])
@pytest.mark.parametrize(
    "line",
    [b'up{""="1"} 1', b'{"a\0b"} 1', b'up{"x\0"="1"} 1', b"up\0 1", b"\0up 1", b"# HELP up \xff", b"# HELP up \0",
     b"up 1_000", b"up 1_000_000", b"up 0x1p3", b'up{a="1",,} 1', b'up{,} 1', b'{"a","b"} 1', b'{} 1'],
)  # fmt: skip
def test_what_prometheus_refuses(line: bytes, openmetrics: bool) -> None:
    """These are no valid lines of either format."""
    assert len(parse_exposition([line + b"\n" + b"# EOF\n" * openmetrics], openmetrics=openmetrics).problems) == 1


def test_text_that_was_cut_is_refused() -> None:
    """A last line without a line feed is half a line."""
    assert reasons(b"a 1\nb 2") == [(2, "The last line does not end with a line feed: the exposition was cut short")]


def test_the_order_of_labels_makes_no_other_series() -> None:
    """The same labels in another order are the same series."""
    assert reasons(b'a{x="1",y="2"} 1\na{y="2",x="1"} 1\n') == [(2, "Duplicate series, first given on line 1")]


def test_a_series_given_twice_is_found_beyond_memory() -> None:
    """Series that no longer fit into memory are remembered on disk."""
    lines = b"".join(b'a{x="%d"} 1\n' % number for number in range(duplicate_series.HELD + 10))
    assert reasons(lines) == []
    again = [(duplicate_series.HELD + 11, "Duplicate series, first given on line 8")]
    assert reasons(lines + b'a{x="7"} 1\n') == again


def test_series_are_told_apart_in_memory_and_on_disk() -> None:
    """Each second sighting is told once, either at once or in the end, with both lines."""
    observation = DuplicateDetector(held=3)
    told = [
        (line, observation.first_line(key, line))
        for line, key in enumerate([10, 11, 11, 12, 10, 13, 14, 15, 12, 16], start=1)
    ]
    assert [entry for entry in told if entry[1]] == [(3, 2)]
    assert sorted(observation.duplicates()) == [(5, 1), (9, 4)]
    observation.close()


def test_problems_are_counted_to_a_limit() -> None:
    """A page of HTML gives no endless list."""
    assert len(reasons(b"<html>\n" * 100_000)) == exposition.PROBLEM_LIMIT


def test_a_line_without_end_is_too_much() -> None:
    """A line that never ends does not fill the memory."""

    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 65536

    with pytest.raises(LimitExceededError, match="longer than 1 MiB"):
        parse_exposition(endless())


@pytest.mark.parametrize("line", ["n%d_{} 1\n", 'up{{l%d_{}="1"}} 1\n', "# TYPE n%d_{} counter\n"])
def test_too_long_names_are_too_much(line: str) -> None:
    """Names that would stay in memory are bounded together, whatever their number."""
    lines = line.format("x" * 50_000)
    with pytest.raises(LimitExceededError, match="8 MiB of different names"):
        parse_exposition((lines % number).encode() for number in range(200))


def test_too_many_families_are_too_much() -> None:
    """The number of families is bounded."""
    lines = (b"a%d 1\n" % number for number in range(exposition.FAMILY_LIMIT + 1))
    with pytest.raises(LimitExceededError, match="more than 200000 metric families"):
        parse_exposition([b"".join(lines)])


@given(st.lists(st.one_of(st.binary(max_size=30), st.sampled_from(TEXT.splitlines(True))), max_size=30), st.booleans())
def test_no_bytes_break_it(lines: list[bytes], openmetrics: bool) -> None:
    """Whatever is read, the answer is families and problems, and samples can be read again."""
    text = b"".join(lines)
    found = parse_exposition([text], openmetrics=openmetrics)
    again = list(reread_samples([text], 1, found.lines, lambda name: True, openmetrics=openmetrics))
    assert len(again) >= found.samples


@given(st.text(max_size=20), st.text(max_size=20))
def test_labels_survive(first: str, second: str) -> None:
    """Any label value comes back as it was written."""

    def quote(text: str) -> str:
        return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

    line = f'm{{a="{quote(first)}",b="{quote(second)}"}} 1\n'.encode()
    if b"\0" not in line:
        assert [{"a": first, "b": second}] == [s.labels for s in reread_samples([line], 1, 1, lambda name: True)]


def test_gzip_is_the_callers_business() -> None:
    """Compressed bytes are refused like any other garbage."""
    assert not parse_exposition([gzip.compress(TEXT)]).valid


def test_a_family_without_samples_of_its_own_name_has_only_its_own() -> None:
    """What stands before a family in the same block is not taken for it."""
    found = parse_exposition([TEXT])
    family = found.families["latency_seconds"]
    line, offset = found.offset_of(family)
    again = reread_samples([TEXT[offset:]], line, family.last, lambda name: name in family.names)
    assert [sample.line for sample in again] == [6, 7, 8, 9]
