"""Report a usage error on a runner, and remove the reports and outputs of an earlier run."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from gate.commands._arguments import DEFAULT_OUT
from gate.commands._publish_arguments import publish_settings_from
from gate.publish.session import emit_notices, publish_no_verdict, try_write_to_runner, with_pull_request
from gate.publish.settings import CONTEXT, MODES

_DESCRIPTION = "Usage error: an input has a wrong value; nothing was run"


def report_usage_error(command: str, words: Sequence[str]) -> None:
    """Report the error where the verdict would be read, as far as the other arguments can be parsed."""
    from gate.publish import outputs

    try_write_to_runner(lambda: outputs.write(outputs.NO_VERDICT))
    options = _parse_leniently(words)
    # On a laptop, the only reader is the person who misspelt an option: keep the last report there.
    if os.environ.get("GITHUB_ACTIONS") == "true":
        _remove_old_reports(options.out, options.reports if command == "merge" else [])
    settings = with_pull_request(publish_settings_from(options))
    emit_notices(publish_no_verdict(settings, _DESCRIPTION))


def _parse_leniently(words: Sequence[str]) -> argparse.Namespace:
    """Return the options that say where to publish; `reports` holds everything that may be the path of a report."""
    parser = argparse.ArgumentParser(add_help=False)
    for name, default in (("publish", "all"), ("status", "true"), ("context", CONTEXT), ("comment", MODES[0])):
        parser.add_argument(f"--{name}", nargs="?", default=default, const=default)
    parser.add_argument("-o", "--out", nargs="?", default=DEFAULT_OUT, const="")
    parser.add_argument("reports", nargs="*")
    options, rest = parser.parse_known_args(list(words))
    options.reports += rest
    return options


def _remove_old_reports(out: str, reports: Sequence[str]) -> None:
    """Remove the reports of an earlier run, except those that a merge was asked to read."""
    from gate.commands.merge import collect_report_files
    from gate.render.output_folder import remove_reports

    try:
        if out:
            remove_reports(Path(out), keep=collect_report_files(map(Path, reports), expected=True))
    except OSError as error:
        print(f"prodgate: {out}: old reports were not removed: {error.strerror}", file=sys.stderr)
