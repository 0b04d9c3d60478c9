"""Publish around a run: the pending status, the verdict, and the effect of failures."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

from gate.core.errors import GateError
from gate.core.messages import Message, msg
from gate.publish.settings import Mode, Notice, Settings, publish_settings

if TYPE_CHECKING:
    from gate.model import Report
    from gate.run.cancellation import CancellationToken

EXIT_NOT_PUBLISHED = 3
# The name of the end state that the main step saves for the post step:
# https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#sending-values-to-the-pre-and-post-actions
STATE_KEY = "verdict"


def current_settings(*, status: bool, comment: Mode, context: str) -> Settings:
    """Return the settings for this workflow run.

    Print a notice, and enable nothing, if it is not known which commit the event is about.
    """
    settings = publish_settings(status=status, comment=comment, context=context)
    if settings.commit or not settings.enabled:
        return settings
    from gate.publish.pull_request import resolve_commit

    settings, notices = resolve_commit(settings, Path.cwd())
    emit_notices(notices)
    return settings


@contextmanager
def pending_status(settings: Settings, cancellation: CancellationToken) -> Iterator[Settings]:
    """Set the status to pending, and yield the settings with the pull request of the run.

    If the body raises, set the status to an error, so that no run ends without a status, and replace the verdict of an
    earlier run in the comment. While the body runs, a signal shrinks the time budget for GitHub.
    """
    from gate.publish import status

    with cancellation.cancel_on_signals(settings.budget.shrink):
        try:
            emit_notices(catch_publish_errors(settings, lambda: status.set_pending(settings), blocking=True))
            settings = with_pull_request(settings)
            yield settings
        except BaseException as error:
            _save_end_state(settings, status.end_state(None))
            emit_notices(publish_no_verdict(settings, _describe(error)))
            raise


def with_pull_request(settings: Settings) -> Settings:
    """Return the settings with the pull request of a `workflow_run`, which does not name that of a fork."""
    if settings.pull is not None or not settings.head_label or settings.comment == "off":
        return settings
    from gate.publish.pull_request import resolve_pull

    settings, notices = resolve_pull(settings)
    emit_notices(notices)
    return settings


def publish_no_verdict(settings: Settings, why: str) -> list[Notice]:
    """Set the status to an error, and replace the verdict of an earlier run in the comment."""
    from gate.publish import status

    notices = catch_publish_errors(settings, lambda: status.set_error(settings, why), blocking=True)
    # After a cancellation there is no time for the comment: the post step replaces it.
    return notices if settings.budget.shrunk else notices + replace_stale_comment(settings, why)


def replace_stale_comment(settings: Settings, why: str) -> list[Notice]:
    """Replace an earlier run's comment, if there is one: this run has no verdict."""
    if settings.comment == "off" or settings.pull is None:
        return []
    from gate.publish import comment

    return catch_publish_errors(settings, lambda: comment.publish_no_verdict(settings, why))


def _describe(error: BaseException) -> str:
    """Return the description of the status for an exception that ended the run without a verdict."""
    from gate.checklist.errors import ChecklistError

    if isinstance(error, ChecklistError):
        return f"The checklist is not valid, nothing was run: {error.problems[0]}"
    if isinstance(error, KeyboardInterrupt):
        return "The run was cancelled"
    return f"No verdict: {error}" if isinstance(error, GateError) else "No verdict: internal error of the gate"


def branch_rule_notes(settings: Settings) -> tuple[Message, ...]:
    """Return the note about the branch's rules, if there is one. Call it before the run: the verdict must not wait."""
    from gate.publish.branch_rules import branch_rule_note

    notes: list[Message | None] = []
    emit_notices(catch_publish_errors(settings, lambda: notes.append(branch_rule_note(settings))))
    return tuple(message for message in notes if message)


def publish_verdict(report: Report, settings: Settings, code: int) -> int:
    """Publish the verdict and return the exit code: `code`, or 3 for a GO whose requested status was not set."""
    from gate.publish import status

    _save_end_state(settings, status.end_state(report))
    notices = catch_publish_errors(settings, lambda: status.set_verdict(report, settings), blocking=settings.status)
    if settings.budget.shrunk:
        settings = structs.replace(settings, comment="off")
    if settings.comment != "off":
        from gate.publish import comment

        notices += catch_publish_errors(settings, lambda: comment.publish(report, settings))
    emit_notices(notices, report.language)
    return code or (EXIT_NOT_PUBLISHED if any(notice.not_published for notice in notices) else 0)


def catch_publish_errors(
    settings: Settings, publisher: Callable[[], list[Notice] | None], *, blocking: bool = False
) -> list[Notice]:
    """Return the notices of a publisher. An exception becomes a notice; if `blocking`, as a status that was not set."""
    try:
        return publisher() or []
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not become the exit code
        text = msg(
            "Could not publish to GitHub: {error}", error=settings.secrets.redact(f"{type(error).__name__}: {error}")
        )
        return [Notice(text, "error" if blocking else "warning", not_published=blocking)]


def _save_end_state(settings: Settings, end_state: str) -> None:
    """Save how the run ended for the post step, which may find the status still pending."""
    from gate.publish import outputs

    emit_notices(catch_publish_errors(settings, lambda: outputs.save_state({STATE_KEY: end_state})))


def replace_unfinished_verdict(settings: Settings) -> list[Notice]:
    """Replace, in the post step, a status that is still pending, and the comment if it is an earlier run's."""
    from gate.publish import status

    state = os.environ.get(f"STATE_{STATE_KEY}", "")  # "" if the main step was killed
    notices = status.fix_stale_pending(settings, state)
    return notices + replace_stale_comment(with_pull_request(settings), status.stale_description(state))


def try_write_to_runner(write: Callable[[], None]) -> None:
    """Write to a file of the runner, and only log an OSError."""
    try:
        write()
    except OSError as error:
        print(f"prodgate: could not write to the runner's file: {error}", file=sys.stderr)


def emit_notices(notices: Iterable[Notice], language: str = "en") -> None:
    """Print notices in a language; on a runner as annotations."""
    from gate.i18n.language import translate
    from gate.publish.workflow_commands import Log

    for notice in notices:
        text = translate(notice.message, language)
        if isinstance(sys.stdout, Log):
            sys.stdout.command(notice.level, text, title="prodgate")
        else:
            print(f"prodgate: {notice.level}: {text}", file=sys.stderr)
