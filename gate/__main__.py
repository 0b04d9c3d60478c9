"""Run the command line: dispatch to the subcommand and turn every outcome into an exit code."""

from __future__ import annotations

import argparse
import gc
import os
import re
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, NoReturn

import gate
from gate.core.override import override
from gate.core.plugins import Registry
from gate.redaction.streams import redact_std_streams

if TYPE_CHECKING:
    from gate.render.worker import RenderWorker

COMMANDS = Registry("gate.commands", excluded=frozenset({"usage_error"}))
_ORDER = ("init", "validate", "plan", "run", "explain", "render", "restore")


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors suggest the nearest option or choice."""

    @override
    def error(self, message: str) -> NoReturn:
        from gate.decode.structs import suggestion

        unknown = re.match(r"unrecognized arguments: (-[^\s=]*)", message)
        choice = re.match(r"argument (.*): invalid choice: '(.*?)' \(choose from (.*)\)", message)
        near = ""
        if unknown:
            message = f"unknown option {unknown[1]}"
            near = suggestion(unknown[1], self._option_string_actions)
        elif choice:
            message = f"{choice[1]}: '{choice[2]}' is not one of {choice[3]}"
            near = suggestion(choice[2], re.findall(r"[\w-]+", choice[3]))
        if near:  # all that the person needs: a usage block would hide it
            print(f"{self.prog}: {message}{near}", file=sys.stderr)
            raise SystemExit(2)
        super().error(message)


def entry_point(arguments: list[str] | None = None) -> NoReturn:
    """Run a subcommand and exit the process with its exit code."""
    try:
        code = main(arguments)
    except SystemExit as error:  # raised by argparse
        code = error.code if isinstance(error.code, int) else 0
    # Normal interpreter shutdown costs about 10 % of a short run. It would also flush broken streams once more, and
    # let that change the exit code.
    os._exit(code)


def main(arguments: list[str] | None = None) -> int:
    """Run a subcommand and return its exit code: 2 for a usage or checklist error, 3 for an internal error.

    Return 3 instead of 0, too, if standard output could not be written, such as on a full disk.
    """
    gc.set_threshold(50_000)  # loading modules allocates many long-lived objects and no garbage
    with redact_std_streams() as out:
        code = _dispatch(sys.argv[1:] if arguments is None else arguments)
    return code or (3 if out.failed else 0)


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] not in COMMANDS.kinds():
        return _top_level_help(arguments)
    name = arguments[0]
    with _render_worker(name) as worker, _guarded_output(name):
        command = COMMANDS.import_module(name)
        parser = _Parser(f"prodgate {name}", description=command.SUMMARY)
        command.add_arguments(parser)
        parser.set_defaults(render_worker=worker)
        return _execute(command, _parse(parser, name, arguments[1:]))


def _parse(parser: argparse.ArgumentParser, name: str, arguments: list[str]) -> argparse.Namespace:
    """Parse the options of a subcommand. Report a usage error of `run` or `merge` where its verdict would be read."""
    try:
        return parser.parse_args(arguments)
    except SystemExit as error:
        # An earlier success must not be mistaken for the result of this call.
        if error.code and name in ("run", "merge"):
            from gate.commands.usage_error import report_usage_error

            report_usage_error(name, arguments)
        raise


def _render_worker(command: str) -> AbstractContextManager[RenderWorker | None]:
    """Return a process that renders the reports of a `run`; None for other commands."""
    if command != "run":
        return nullcontext()
    # Forked before anything else: there must be no thread yet, and few modules loaded.
    from gate.render.worker import render_worker

    return render_worker()


def _guarded_output(command: str) -> AbstractContextManager[None]:
    """Escape workflow commands in the output of commands that print responses of services, on a runner."""
    if command not in ("run", "merge", "restore") or os.environ.get("GITHUB_ACTIONS") != "true":
        return nullcontext()
    from gate.publish.workflow_commands import guard_std_streams

    return guard_std_streams()


def _execute(command: object, options: argparse.Namespace) -> int:
    from gate.checklist.errors import ChecklistError, excerpt
    from gate.report.serialization import InvalidReportError

    try:
        return int(command.run(options))  # type: ignore[attr-defined]
    except ChecklistError as error:
        for problem in error.problems:
            lines = excerpt(problem.place)
            print(problem, *[lines] if lines else [], sep="\n", file=sys.stderr)
        count = len(error.problems)
        print(f"prodgate: {count} error{'s' if count > 1 else ''} in the checklist; nothing was run", file=sys.stderr)
        return 2
    except InvalidReportError as error:
        print(f"prodgate: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except Exception:  # noqa: BLE001 - an exit code of 1 would read as a NO-GO
        import traceback

        traceback.print_exc()
        print("prodgate: internal error (exit code 3). Please report the lines above.", file=sys.stderr)
        return 3


def _top_level_help(arguments: list[str]) -> int:
    parser = _Parser("prodgate", description="Run a checklist against staging, inject faults, and report GO or NO-GO.")
    parser.add_argument("--version", action="version", version=f"prodgate {gate.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    for name in sorted(COMMANDS.kinds(), key=lambda name: (_ORDER.index(name) if name in _ORDER else 99, name)):
        commands.add_parser(name, help=COMMANDS.import_module(name).SUMMARY)
    if not arguments:
        parser.print_help(sys.stderr)
        return 2
    parser.parse_args(arguments)
    return 2


if __name__ == "__main__":
    entry_point()
