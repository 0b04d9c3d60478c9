"""Implement `prodgate explain`: show one item, its last evidence and what to do about it."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gate.commands._arguments import DEFAULT_FILE, add_files
from gate.i18n.language import LANGUAGES

if TYPE_CHECKING:
    from gate.i18n.language import Language
    from gate.model import ItemResult, Report

SUMMARY = "show an item, its last evidence, and what to do"
LAST_REPORT = "prodgate-out/report.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("id", metavar="ID", help="show this item")
    parser.add_argument(
        "--report", metavar="FILE", help=f"take the evidence from this report (default: {LAST_REPORT}, if it exists)"
    )
    parser.add_argument("--language", choices=LANGUAGES, help="print in this language (default: the report's)")
    add_files(parser)


def run(options: argparse.Namespace) -> int:
    """Print the item and return 0. Raise ChecklistError if there is no such item."""
    from gate.report.serialization import read_report

    if options.report or Path(LAST_REPORT).is_file():
        path = Path(options.report or LAST_REPORT)
        report = read_report(path)
        items = {item.id: item for item in report.items}
        if options.id in items:
            print(format_item(report, items[options.id], options.language or report.language))
            return 0
        if options.report:
            raise _unknown_item(options.id, list(items), str(path))
    return _explain_from_checklist(options)


def _explain_from_checklist(options: argparse.Namespace) -> int:
    """Print what the checklist says about an item that has not run yet."""
    from gate.checklist.load import load

    loaded = load(options.file)
    items = {item.id: item for item in loaded.checklist.items}
    if options.id not in items:
        raise _unknown_item(options.id, list(items), "the checklist")
    item = items[options.id]
    kind = type(item.check)
    print(f"{item.id}  {item.title}\n{item.severity}, {item.kind}: {kind.summary}")
    print(f"It has not run yet. To run it: {_run_command(options.file, item.id)}")
    return 0


def _run_command(files: Sequence[str], id: str) -> str:
    """Return the command that runs one item of a checklist."""
    arguments = [] if list(files) == [DEFAULT_FILE] else [word for file in files for word in ("--file", file)]
    return shlex.join(["prodgate", "run", *arguments, "--only", id])


def _unknown_item(id: str, ids: list[str], source: str) -> Exception:
    from gate.checklist.errors import ChecklistError, Diagnostic, SourceLocation
    from gate.decode.structs import suggestion

    return ChecklistError([Diagnostic(SourceLocation(source), f"unknown item '{id}'{suggestion(id, ids)}")])


def format_item(report: Report, item: ItemResult, code: str) -> str:
    """Return the item as text for a terminal: its outcome, its evidence and what to do."""
    from gate.i18n.language import language

    words = language(code)
    parts = [_head(report, item, words), _evidence(item, words), _next_steps(report, item, words)]
    return "\n\n".join("\n".join(_escape(line) for line in part) for part in parts if part)


def _escape(line: str) -> str:
    from gate.render.escape_markdown import replace_controls

    return replace_controls(line).replace("##[", "## [")


def _head(report: Report, item: ItemResult, words: Language) -> list[str]:
    from gate.render.presenter import MARKS, waiver_line

    lines = [f"{item.id}  {item.title}", f"{MARKS[item.status]}  {words.message(item.outcome.message)}"]
    kind = words("blocking") if item.severity == "blocking" else words("advisory")
    lines.append(f"{kind}, {item.check}" + (f", {item.location}" if item.location else ""))
    for waiver in report.waivers:
        if waiver.item == item.id:
            lines.append(words("Waiver: {waiver}", waiver=waiver_line(waiver)))
    if item.requires:
        lines.append(words("Requires: {targets}", targets=", ".join(item.requires)))
    if item.needs:
        lines.append(words("Needs: {items}", items=", ".join(item.needs)))
    return lines


def _evidence(item: ItemResult, words: Language) -> list[str]:
    from gate.render.presenter import MARKS

    evidence = item.outcome.evidence
    lines = [words("Request: {request}", request=evidence.request)] if evidence.request else []
    if evidence.started:
        when, duration = words.moment(evidence.started), words.duration(evidence.duration)
        lines.append(
            words(
                "On {when}, in {duration}, attempts: {attempts}",
                when=when,
                duration=duration,
                attempts=evidence.attempts,
            )
        )
    for row in item.outcome.rows:
        lines.append(f"{MARKS[row.status]}  {words.message(row.title)}: {words.message(row.message)}")
    lines += [f"{place}  {place.text}".rstrip() for place in evidence.locations]
    lines += [artifact.path for artifact in evidence.artifacts]
    return [*lines, "", *evidence.response.splitlines()] if evidence.response else lines


def _next_steps(report: Report, item: ItemResult, words: Language) -> list[str]:
    lines = []
    if item.outcome.advice:
        lines.append(words("What to do: {advice}", advice=item.outcome.advice))
    cause = item.outcome.cause
    same_cause = [
        result.id for result in report.items if cause and result.outcome.cause == cause and result.id != item.id
    ]
    if same_cause:
        lines.append(words("Same cause: {items}", items=", ".join(same_cause)))
    if item.outcome.evidence.reproduce_command:
        lines.append(words("By hand: {command}", command=item.outcome.evidence.reproduce_command))
    lines.append(words("Run again: {command}", command=_run_command(report.files or [DEFAULT_FILE], item.id)))
    return lines
