"""The line of a log that says what is wrong."""

from __future__ import annotations

import pytest

from gate.staging.logs import find_error_line

PROMETHEUS = """time=2026-03-30T10:00:00.000Z level=INFO source=main.go:725 msg="Starting Prometheus Server" mode=server
time=2026-03-30T10:00:00.100Z level=ERROR source=manager.go:17 msg="loading groups failed" err="a.yml: 9:13: no"
time=2026-03-30T10:00:00.101Z level=INFO source=main.go:1040 msg="See you next time!"
"""
GO = """2026/03/30 10:00:00 listening on :8080
panic: runtime error: invalid memory address or nil pointer dereference

goroutine 1 [running]:
main.main()
\t/app/main.go:12 +0x1d
exit status 2
"""
PYTHON = """Traceback (most recent call last):
  File "/app/main.py", line 1, in <module>
    import flask
ModuleNotFoundError: No module named 'flask'
"""
POSTGRES = """2026-03-30 10:00:00 UTC [1] LOG:  database system is ready to accept connections
2026-03-30 10:00:01 UTC [9] FATAL:  password authentication failed for user "exporter"
2026-03-30 10:00:01 UTC [9] DETAIL:  Connection matched file "pg_hba.conf" line 100
"""
ACCESS = """Listening on port 8080
127.0.0.1 - - [30/Mar/2026 10:00:00] "GET /error?failed=1 HTTP/1.1" 500 -
"""


@pytest.mark.parametrize(
    ("log", "part"),
    [
        (PROMETHEUS, "loading groups failed"),
        (GO, "panic: runtime error"),
        (PYTHON, "No module named 'flask'"),
        (POSTGRES, "password authentication failed"),
        ('{"level":"info","msg":"up"}\n{"level":"error","msg":"no route"}\n{"level":"info","error":null}', "no route"),
        ("starting\ncould not connect to db:5432\nretrying", "could not connect"),
        ("\x1b[31mERROR\x1b[0m it broke", "ERROR it broke"),
    ],
)
def test_the_line_that_says_what_is_wrong(log: str, part: str) -> None:
    """The last line that reports an error is found in the logs of many programs, whatever stands behind it."""
    assert part in find_error_line(log)
    assert "\x1b" not in find_error_line(log)


@pytest.mark.parametrize(
    "log", ["", "ready\n", ACCESS, 'level=info msg=done err="error"', "(its log cannot be read: no)"]
)
def test_a_log_without_an_error(log: str) -> None:
    """A log without an error has no such line; of what has ended the last line is all there is."""
    assert find_error_line(log) == ""
    assert find_error_line(log, exited=True) == (log.strip().splitlines() or [""])[-1]


def test_a_long_line() -> None:
    """The line is cut."""
    assert len(find_error_line("ERROR " + "x" * 10_000)) <= 400
