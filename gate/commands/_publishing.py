"""How commands tell GitHub: the options, what comes before and after a verdict, and what failing to tell it means."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from gate.publish.settings import CONTEXT, MODES, Notice, Settings, settings

if TYPE_CHECKING:
    from gate.model import Report

_UNTOLD = 3
_HURRY = 4.0
"""Seconds for GitHub once the run is cancelled: the runner ends what takes longer."""


def add_context(parser: argparse.ArgumentParser) -> None:
    """The options of the commit status."""
    parser.add_argument(
        "--publish", choices=("all", "none"), default="all", help="on a runner, tell GitHub (%(default)s)"
    )
    parser.add_argument(
        "--status", choices=("true", "false"), default="true", help="on a runner, set a commit status (%(default)s)"
    )
    parser.add_argument("--context", default=CONTEXT, metavar="NAME", help="of the commit status (%(default)s)")


def add_publishing(parser: argparse.ArgumentParser) -> None:
    """The options of all that is published."""
    add_context(parser)
    parser.add_argument("--comment", choices=MODES, default="always", help="on a pull request, when (%(default)s)")


def wished(options: argparse.Namespace) -> Settings:
    """What is to be published; nothing where this is no runner."""
    known = os.environ
    told = options.publish == "all" and known.get("GITHUB_ACTIONS") == "true"
    return settings(
        known,
        status=told and options.status == "true",
        comment=getattr(options, "comment", "off") if told else "off",
        context=options.context,
    )


@contextmanager
def announced(wishes: Settings) -> Iterator[None]:
    """The status is pending before anything else, and an error where something ends the gate without a verdict."""
    from gate.publish import status

    try:
        tell(status.pending(wishes))
        yield
    except BaseException as error:
        tell(status.broken(wishes, _why(error)))
        raise


def _why(error: BaseException) -> str:
    from gate.checklist.problems import ChecklistError

    if isinstance(error, ChecklistError):
        return f"The checklist is wrong, nothing was run: {error.problems[0]}"
    if isinstance(error, KeyboardInterrupt):
        return "The run was cancelled"
    return f"There is no verdict: {error}" if type(error).__module__.startswith("gate.") else "The gate itself broke"


def noted(report: Report, wishes: Settings) -> Report:
    """The report with what people should know about the branch's rules, and without a secret in it."""
    from gate.masked import masked
    from gate.publish.protection import note

    if report.ended != "cancelled" and (found := note(wishes)):
        report = report.model_copy(update={"notes": (*report.notes, found)})
    return masked(report, wishes.secrets)


def told(report: Report, wishes: Settings, code: int) -> int:
    """Publishes the verdict. The exit code is that of the verdict, or 3 for a GO that nobody was told of."""
    from gate.publish import comment, status

    if report.ended == "cancelled":
        wishes = replace(wishes, comment="off", patience=replace(wishes.patience, budget=_HURRY, request=_HURRY))
    notices = status.finished(report, wishes)
    tell([*notices, *comment.publish(report, wishes)], report.language)
    return code or (_UNTOLD if any(notice.untold for notice in notices) else 0)


def tell(notices: Iterable[Notice], code: str = "en") -> None:
    """Says notices: on a runner as annotations."""
    from gate.language import translate
    from gate.publish.runner_log import Log

    for notice in notices:
        text = translate(notice.message, code)
        if isinstance(sys.stdout, Log):
            sys.stdout.command(notice.level, text, title="prodgate")
        else:
            print(f"prodgate: {notice.level}: {text}", file=sys.stderr)
