"""What a wrong call leaves on a runner: no report, no output and no status of an earlier run speaks for it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from gate.commands._arguments import DEFAULT_OUT
from gate.commands._report import try_write_to_runner
from gate.publish.session import catch_publish_errors, emit_notices, publish_settings_from
from gate.publish.settings import CONTEXT

_WHY = "The gate was called with a wrong value, nothing was run"


def report_usage_error(command: str, words: Sequence[str]) -> None:
    """Says it where the verdict would be read, as far as the rest of the call is understood."""
    from gate.publish import outputs, status

    try_write_to_runner(lambda: outputs.write(outputs.NO_VERDICT))
    call = _parse_leniently(words)
    # On a laptop nobody reads a verdict but who has just misspelt an option: the last report stays.
    if os.environ.get("GITHUB_ACTIONS") == "true":
        _clear(call.out, call.reports if command == "merge" else [])
    wishes = publish_settings_from(call)
    emit_notices(catch_publish_errors(wishes, lambda: status.set_error(wishes, _WHY), untold=True))


def _parse_leniently(words: Sequence[str]) -> argparse.Namespace:
    """The options that say where a verdict goes; `reports` is all that may be the name of a part's report."""
    parser = argparse.ArgumentParser(add_help=False)
    for name, default in (("publish", "all"), ("status", "true"), ("context", CONTEXT)):
        parser.add_argument(f"--{name}", nargs="?", default=default, const=default)
    parser.add_argument("-o", "--out", nargs="?", default=DEFAULT_OUT, const="")
    parser.add_argument("reports", nargs="*")
    call, rest = parser.parse_known_args(list(words))
    call.reports += rest
    return call


def _clear(out: str, reports: Sequence[str]) -> None:
    """Removes an earlier run's reports, as every run does that begins, but for those that a merge was to read."""
    from gate.commands.merge import collect_report_files
    from gate.render.output_folder import remove_reports

    try:
        if out:
            remove_reports(Path(out), keep=collect_report_files(map(Path, reports), expected=True))
    except OSError as error:
        print(f"prodgate: {out} was not cleared: {error.strerror}", file=sys.stderr)
