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
from gate.output import hiding
from gate.registry import Registry

if TYPE_CHECKING:
    from gate.render.beside import Beside

COMMANDS = Registry("gate.commands", word="command")
_ORDER = ("init", "validate", "plan", "run", "explain", "render", "restore")


class _Parser(argparse.ArgumentParser):
    """A parser whose errors name the nearest option or choice."""

    def error(self, message: str) -> NoReturn:
        from gate.written import nearest

        unknown = re.match(r"unrecognized arguments: (-[^\s=]*)", message)
        choice = re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message)
        if unknown:
            message += nearest(unknown[1], self._option_string_actions)
        elif choice:
            message += nearest(choice[1], re.findall(r"[\w-]+", choice[2]))
        super().error(message)


def program(arguments: list[str] | None = None) -> NoReturn:
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
    with hiding() as out:
        code = _main(sys.argv[1:] if arguments is None else arguments)
    return code or (3 if out.failed else 0)


def _main(given: list[str]) -> int:
    if not given or given[0] not in COMMANDS.names():
        return _without_command(given)
    with _helped(given[0]) as helper, _harmless(given[0]):
        command = COMMANDS.module(given[0])
        parser = _Parser(f"prodgate {given[0]}", description=command.SUMMARY)
        command.arguments(parser)
        parser.set_defaults(helper=helper)
        return _run(command, _parsed(parser, given))


def _parsed(parser: argparse.ArgumentParser, given: list[str]) -> argparse.Namespace:
    """The options. Where a gate is called wrongly, an earlier success must not stand for this call."""
    try:
        return parser.parse_args(given[1:])
    except SystemExit as error:
        if error.code and given[0] in ("run", "merge"):
            from gate.commands._wrong_call import wrongly_called

            wrongly_called(given[0], given[1:])
        raise


def _helped(command: str) -> AbstractContextManager[Beside | None]:
    """A run has its reports rendered beside it. This comes first: there must be no thread yet, and much to load."""
    if command != "run":
        return nullcontext()
    from gate.render.beside import beside

    return beside()


def _harmless(command: str) -> AbstractContextManager[None]:
    """On a runner, commands that say what a service answered say it so that the runner does not obey it."""
    if command not in ("run", "merge", "restore") or os.environ.get("GITHUB_ACTIONS") != "true":
        return nullcontext()
    from gate.publish.runner_log import guarded

    return guarded()


def _run(command: object, arguments: argparse.Namespace) -> int:
    from gate.checklist.problems import ChecklistError
    from gate.report.document import NotAReport

    try:
        return int(command.main(arguments))  # type: ignore[attr-defined]
    except ChecklistError as error:
        print(error, file=sys.stderr)
        count = len(error.problems)
        print(f"prodgate: {count} error{'s' if count > 1 else ''} in the checklist, nothing was run", file=sys.stderr)
        return 2
    except NotAReport as error:
        print(f"prodgate: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except Exception:  # noqa: BLE001 - an exit code of 1 would read as a NO-GO
        import traceback

        traceback.print_exc()
        print("prodgate: the gate itself broke (exit code 3). Please report the lines above.", file=sys.stderr)
        return 3


def _without_command(given: list[str]) -> int:
    parser = _Parser("prodgate", description="The gate between a commit and production.")
    parser.add_argument("--version", action="version", version=f"prodgate {gate.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    for name in sorted(COMMANDS.names(), key=lambda name: (_ORDER.index(name) if name in _ORDER else 99, name)):
        commands.add_parser(name, help=COMMANDS.module(name).SUMMARY)
    if not given:
        parser.print_help(sys.stderr)
        return 2
    parser.parse_args(given)
    return 2


if __name__ == "__main__":
    program()
