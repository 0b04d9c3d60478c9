"""The command line: finds the subcommand, and turns whatever happens into an exit code."""

from __future__ import annotations

import argparse
import gc
import os
import re
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, NoReturn

import gate
from gate.core.plugins import Registry
from gate.redaction.streams import redact_std_streams

if TYPE_CHECKING:
    from gate.render.worker import RenderWorker

COMMANDS = Registry("gate.commands", excluded=frozenset({"usage_error"}))
_ORDER = ("init", "validate", "plan", "run", "explain", "render", "restore")


class _Parser(argparse.ArgumentParser):
    """A parser whose errors name the nearest option or choice."""

    def error(self, message: str) -> NoReturn:
        from gate.decode.structs import suggestion

        unknown = re.match(r"unrecognized arguments: (-[^\s=]*)", message)
        choice = re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message)
        if unknown:
            message += suggestion(unknown[1], self._option_string_actions)
        elif choice:
            message += suggestion(choice[1], re.findall(r"[\w-]+", choice[2]))
        super().error(message)


def entry_point(arguments: list[str] | None = None) -> NoReturn:
    """Run a subcommand and exit via os._exit(): a normal shutdown costs about 10 % of a short run.

    It would also try to flush broken streams once more, and let that change the exit code.
    """
    try:
        code = main(arguments)
    except SystemExit as error:  # raised by argparse
        code = error.code if isinstance(error.code, int) else 0
    os._exit(code)


def main(arguments: list[str] | None = None) -> int:
    """Run a subcommand and return its exit code: 2 for a wrong call or checklist, 3 if the gate itself broke.

    A success whose standard output was not taken, such as a GO on a full disk, is not a success: 3, too.
    """
    gc.set_threshold(50_000)  # loading modules makes much that lives and nothing that is to be collected
    with redact_std_streams() as out:
        code = _dispatch(sys.argv[1:] if arguments is None else arguments)
    return code or (3 if out.failed else 0)


def _dispatch(given: list[str]) -> int:
    if not given or given[0] not in COMMANDS.kinds():
        return _top_level_help(given)
    with _render_worker(given[0]) as helper, _guarded_output(given[0]):
        command = COMMANDS.import_module(given[0])
        parser = _Parser(f"prodgate {given[0]}", description=command.SUMMARY)
        command.arguments(parser)
        parser.set_defaults(helper=helper)
        return _run(command, _parse(parser, given))


def _parse(parser: argparse.ArgumentParser, given: list[str]) -> argparse.Namespace:
    """The options. Where a gate is called wrongly, an earlier success must not stand for this call."""
    try:
        return parser.parse_args(given[1:])
    except SystemExit as error:
        if error.code and given[0] in ("run", "merge"):
            from gate.commands.usage_error import report_usage_error

            report_usage_error(given[0], given[1:])
        raise


def _render_worker(command: str) -> AbstractContextManager[RenderWorker | None]:
    """A run has its reports rendered beside it. This comes first: there must be no thread yet, and much to load."""
    if command != "run":
        return nullcontext()
    from gate.render.worker import render_worker

    return render_worker()


def _guarded_output(command: str) -> AbstractContextManager[None]:
    """On a runner, commands that say what a service answered say it so that the runner does not obey it."""
    if command not in ("run", "merge", "restore") or os.environ.get("GITHUB_ACTIONS") != "true":
        return nullcontext()
    from gate.publish.workflow_commands import guard_std_streams

    return guard_std_streams()


def _run(command: object, arguments: argparse.Namespace) -> int:
    from gate.checklist.errors import ChecklistError
    from gate.report.serialization import InvalidReportError

    try:
        return int(command.main(arguments))  # type: ignore[attr-defined]
    except ChecklistError as error:
        print(error, file=sys.stderr)
        count = len(error.problems)
        print(f"prodgate: {count} error{'s' if count > 1 else ''} in the checklist, nothing was run", file=sys.stderr)
        return 2
    except InvalidReportError as error:
        print(f"prodgate: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except Exception:  # noqa: BLE001 - an exit code of 1 would read as a NO-GO
        import traceback

        traceback.print_exc()
        print("prodgate: the gate itself broke (exit code 3). Please report the lines above.", file=sys.stderr)
        return 3


def _top_level_help(given: list[str]) -> int:
    parser = _Parser("prodgate", description="The gate between a commit and production.")
    parser.add_argument("--version", action="version", version=f"prodgate {gate.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    for name in sorted(COMMANDS.kinds(), key=lambda name: (_ORDER.index(name) if name in _ORDER else 99, name)):
        commands.add_parser(name, help=COMMANDS.import_module(name).SUMMARY)
    if not given:
        parser.print_help(sys.stderr)
        return 2
    parser.parse_args(given)
    return 2


if __name__ == "__main__":
    entry_point()
