"""How commands tell GitHub: the options, what comes before and after a verdict, and what failing to tell it means."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from msgspec import structs

from gate.core.messages import Message, msg
from gate.publish.settings import CONTEXT, MODES, Notice, Settings, publish_settings

if TYPE_CHECKING:
    from gate.model import Report
    from gate.run.cancellation import CancellationToken

EXIT_NOT_PUBLISHED = 3
STATE_KEY = "verdict"
"""What the post step is told by: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands"""


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


def publish_settings_from(options: argparse.Namespace) -> Settings:
    """What is to be published; nothing where this is no runner."""
    told = options.publish != "none" and os.environ.get("GITHUB_ACTIONS") == "true"
    return publish_settings(
        status=told and options.status != "false",
        comment=getattr(options, "comment", "off") if told else "off",
        context=options.context,
    )


@contextmanager
def pending_status(wishes: Settings, ending: CancellationToken) -> Iterator[None]:
    """The status is pending before anything else, and an error where something ends the gate without a verdict.

    From the first moment on a signal leaves little time for GitHub.
    """
    from gate.publish import status

    with ending.cancel_on_signals(wishes.budget.shrink):
        try:
            emit_notices(catch_publish_errors(wishes, lambda: status.set_pending(wishes), untold=True))
            yield
        except BaseException as error:
            why = _why(error)
            _save_end_state(wishes, status.end(None))
            emit_notices(catch_publish_errors(wishes, lambda: status.set_error(wishes, why), untold=True))
            raise


def _why(error: BaseException) -> str:
    from gate.checklist.errors import ChecklistError

    if isinstance(error, ChecklistError):
        return f"The checklist is wrong, nothing was run: {error.problems[0]}"
    if isinstance(error, KeyboardInterrupt):
        return "The run was cancelled"
    return f"There is no verdict: {error}" if type(error).__module__.startswith("gate.") else "The gate itself broke"


def branch_rule_notes(wishes: Settings) -> tuple[Message, ...]:
    """What people should know about the branch's rules. It is asked before the verdict, which waits for nobody."""
    from gate.publish.branch_rules import branch_rule_note

    found: list[Message | None] = []
    emit_notices(catch_publish_errors(wishes, lambda: found.append(branch_rule_note(wishes))))
    return tuple(message for message in found if message)


def publish_verdict(report: Report, wishes: Settings, code: int) -> int:
    """Publishes the verdict. The exit code is that of the verdict, or 3 for a GO that nobody was told of."""
    from gate.publish import status

    _save_end_state(wishes, status.end(report))
    notices = catch_publish_errors(wishes, lambda: status.set_verdict(report, wishes), untold=wishes.status)
    if wishes.budget.hurried:
        wishes = structs.replace(wishes, comment="off")
    if wishes.comment != "off":
        from gate.publish import comment

        notices += catch_publish_errors(wishes, lambda: comment.publish(report, wishes))
    emit_notices(notices, report.language)
    return code or (EXIT_NOT_PUBLISHED if any(notice.not_published for notice in notices) else 0)


def catch_publish_errors(
    wishes: Settings, publisher: Callable[[], list[Notice] | None], *, untold: bool = False
) -> list[Notice]:
    """What a publisher has to say. One that breaks is a notice, too: the verdict stands."""
    try:
        return publisher() or []
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not become the exit code
        text = msg("GitHub was not told: {error}", error=wishes.secrets.redact(f"{type(error).__name__}: {error}"))
        return [Notice(text, "error" if untold else "warning", untold)]


def _save_end_state(wishes: Settings, end: str) -> None:
    """Keeps how the run ended for the post step, which may find the status still pending."""
    from gate.publish import outputs

    emit_notices(catch_publish_errors(wishes, lambda: outputs.save_state({STATE_KEY: end})))


def saved_end_state() -> str:
    """How the main step ended, as it was kept for the post step; empty where it was killed before."""
    return os.environ.get(f"STATE_{STATE_KEY}", "")


def emit_notices(notices: Iterable[Notice], code: str = "en") -> None:
    """Says notices: on a runner as annotations."""
    from gate.i18n.language import translate
    from gate.publish.workflow_commands import Log

    for notice in notices:
        text = translate(notice.message, code)
        if isinstance(sys.stdout, Log):
            sys.stdout.command(notice.level, text, title="prodgate")
        else:
            print(f"prodgate: {notice.level}: {text}", file=sys.stderr)
