"""Redaction of long and hostile texts: linear time, bounded memory, and no secret at any cut."""

from __future__ import annotations

import re
import time
import tracemalloc

import pytest

from gate.redaction.secrets import OVERLAP, Redactor

VALUE = "pa55\"wo\\rd<&>/é'bb"
HOSTILE = {
    "%25": "%25" * 700_000, "%41": "%41" * 700_000, "backslashes": "\\" * 2**21,
    "quoted": 'TOKEN=\\"' + "\\" * 2**21,
    "header": 'authorization: \\"' + "\\" * 2**21, "amp": "&amp;" * 400_000, "escapes": "\\ud800" * 350_000,
    "esc": "\x1b[" * 2**20, "osc": "\x1b]" * 2**20,
    "zeros": "\x00" * 2**21,
    "base64": "VVVV" * 2**19, "AAAA": "A" * 2**21,
    "hex": "41" * 2**20, "hex spaces": "41 " * 700_000,
    "lines": "a\n" * 2**20, "blanks": "a" + " " * 2**21,
    "=": "=41" * 700_000,
    "://": "a://" * 2**19, "urls": "a://b:" * 350_000, "password=": "password=" * 230_000, ";pwd=": ";pwd=" * 400_000,
    ";": "password=a;" * 190_000, "<token>": "<token " * 300_000, "paths": "/a-token: " * 200_000,
    "slashes": "/" * 2**21,
    "curl": "curl -u " * 260_000, "?key=": "?key=" * 400_000, "quotes": "password='" * 200_000, "@tcp(": "a:" * 2**20,
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts_take_linear_time(name: str) -> None:
    """Four times as much text takes no more than about four times as long, and not much in all."""
    secrets = Redactor(["tok-5ecret-aaaa", "abcd", VALUE])
    small, large = (_processor_time(secrets, text) for text in (HOSTILE[name][: 2**18], HOSTILE[name][: 2**20]))
    assert large < 16 * small + 2


def _processor_time(secrets: Redactor, text: str) -> float:
    """Return this thread's processor time: waiting for a busy machine does not count."""
    began = time.thread_time()
    secrets.redact(text)
    secrets.tail(text, 4096)
    return time.thread_time() - began


def test_memory_is_bounded() -> None:
    """Views of a hostile text take no more than a fixed multiple of its size."""
    secrets = Redactor(["tok-5ecret-aaaa"])
    tracemalloc.start()
    try:
        for text in ("%74%6f%6b-5ecret-aaaa" * 50_000, "VVVV" * 2**18, "41" * 2**19):
            tracemalloc.reset_peak()
            secrets.redact(text)
            assert tracemalloc.get_traced_memory()[1] < 60 * len(text)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "shape",
    [
        "https://app:JJJJABCDEF@db/", "https://JJJJABCDEF@db/", "?x=1&access_token=JJJJABCDEF&y=2",
        "?key=JJJJABCDEF#top",
        '{"password":"JJJJABCDEF","a":1}', r'"{\"password\": \"JJJJABCDEF\"}"', "DB_PASSWORD=JJJJABCDEF psql",
        "Authorization: Bearer JJJJABCDEF\nHost: h", '{"Authorization": "Bearer JJJJABCDEF"}', "Cookie: a=JJJJABCDEF\n",
        "curl -u me:JJJJABCDEF http://h/\n", "sent Bearer JJJJABCDEF", "sent Basic bWU6SkpKSkFCQ0RFRg==",
        "X-Vault-Token: JJJJABCDEF\n", "it is known-JJJJABCDEF!",
    ],
)  # fmt: skip
def test_no_shape_is_left_at_the_start_of_an_end(shape: str) -> None:
    """Wherever the end of a text begins, no shape that it tears, its name cut off, is known by the rest alone."""
    secrets = Redactor(["known-JJJJABCDEF"])
    for before, after in ((5000, 5000), (100, 9000)):
        text = "x" * before + " " + shape + " " + "y" * after
        for limit in range(after - 20, after + len(shape) + 20):
            for shown in (secrets.tail(text, limit), secrets.redact_tail(text[-limit - OVERLAP :], -limit)):
                assert not re.search("JJ|AB|CD|EF|Skp|CQ0", shown), limit
                assert shown.endswith("y" * min(limit - 3, after))
