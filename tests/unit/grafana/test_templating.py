"""Variables are filled in as Grafana does, and positions lead back to the text as written."""

from __future__ import annotations

import pytest

from gate.grafana.templating import Variable, built_in, fill

VARIABLES = {
    "one": Variable("one", (("a.b",),)),
    "many": Variable("many", (("a.b", "c"),), many=True),
    "single": Variable("single", (("a.b",),), many=True),
    "all": Variable("all", ((".+",),), many=True, raw=True),
    **built_in(scrape_interval=15, dashboard_range=3600, now=1_700_000_000),
}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ('up{a="$one"}', 'up{a="a.b"}'),
        ('up{a=~"$many"}', r'up{a=~"(a\\.b|c)"}'),
        ('up{a=~"[[many]]"}', r'up{a=~"(a\\.b|c)"}'),
        ('up{a=~"${single}"}', r'up{a=~"a\\.b"}'),
        ('up{a=~"$all"}', 'up{a=~".+"}'),
        ("${many:regex}", r"(a\.b|c)"),
        ("[[many:pipe]]", "a.b|c"),
        ("${many:csv}", "a.b,c"),
        ("${many:raw}", "a.b,c"),
        ("${many:glob}", "{a.b,c}"),
        ("${one:glob}", "a.b"),
        ("${many:json}", '["a.b", "c"]'),
        ("${many:doublequote}", '"a.b","c"'),
        ("${many:singlequote}", "'a.b','c'"),
        ("${many:percentencode}", "%7Ba.b%2Cc%7D"),
        ("${many:text}", "a.b + c"),
        ("rate(x[$__rate_interval])", "rate(x[60s])"),
        ("rate(x[${__interval}])", "rate(x[15s])"),
        ("x / $__range_s / $__interval_ms", "x / 3600 / 15000"),
        ("x @ ${__to:date:seconds}", "x @ 1700000000"),
        ("$unknown [[unknown]] ${unknown} $1", "$unknown [[unknown]] ${unknown} $1"),
    ],
)
def test_fill(text: str, filled: str) -> None:
    """Each syntax and format gives the text that Grafana sends to Prometheus."""
    assert fill(text, VARIABLES, {}).text == filled


def test_rate_interval_follows_the_scrapes() -> None:
    """`$__rate_interval` holds four scrapes, and more for a long range."""
    assert built_in(60, 3600, 0)["__rate_interval"].choices[0] == ("240s",)
    assert built_in(15, 30 * 86400, 0)["__rate_interval"].choices[0] == ("2607s",)


def test_origin() -> None:
    """A character after or inside a value is traced to the text as written."""
    text = "sum($one + [[many]]) - x"
    filled = fill(text, VARIABLES, {})
    assert filled.origin(filled.text.index("x")) == text.index("x")
    assert filled.origin(filled.text.index("c)")) == text.index("[[many")
    assert filled.origin(0) == 0


def test_selection() -> None:
    """What is selected is filled in instead of the first choice."""
    assert fill("$one", VARIABLES, {"one": ("z",)}).text == "z"
