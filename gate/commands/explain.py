"""`prodgate explain`: one item, its last evidence, and what to do about it."""

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
LAST = "prodgate-out/report.json"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("id", metavar="ID", help="the item")
    parser.add_argument(
        "--report", metavar="FILE", help=f"with its last evidence (default: {LAST}, where there is one)"
    )
    parser.add_argument("--language", choices=LANGUAGES, help="of the output (default: the report's own)")
    add_files(parser)


def main(options: argparse.Namespace) -> int:
    """0 where there is such an item; raises ChecklistError where there is none."""
    from gate.report.serialization import read_report

    if options.report or Path(LAST).is_file():
        path = Path(options.report or LAST)
        report = read_report(path)
        if found := [item for item in report.items if item.id == options.id]:
            print(format_item(report, found[0], options.language or report.language))
            return 0
        known = [item.id for item in report.items]
        if options.report:
            raise _unknown(options.id, known, str(path))
    return _without_report(options)


def _without_report(options: argparse.Namespace) -> int:
    """What the checklist alone says of an item that has not run yet."""
    from gate.checklist.load import load

    loaded = load(options.file)
    items = {item.id: item for item in loaded.checklist.items}
    if options.id not in items:
        raise _unknown(options.id, list(items), "the checklist")
    item = items[options.id]
    kind = type(item.check)
    print(f"{item.id}  {item.title}\n{item.severity}, {item.kind}: {kind.summary}")
    print(f"It has not run yet. To run it: {_run(options.file, item.id)}")
    return 0


def _run(files: Sequence[str], id: str) -> str:
    """The command that runs one item of a checklist."""
    named = [] if list(files) == [DEFAULT_FILE] else [word for file in files for word in ("--file", file)]
    return shlex.join(["prodgate", "run", *named, "--only", id])


def _unknown(id: str, known: list[str], where: str) -> Exception:
    from gate.checklist.errors import ChecklistError, Diagnostic, SourceLocation
    from gate.decode.structs import suggestion

    return ChecklistError([Diagnostic(SourceLocation(where), f"no item is called '{id}'{suggestion(id, known)}")])


def format_item(report: Report, item: ItemResult, code: str) -> str:
    """The item for a terminal: what it is, how it came out, what proves it, what to do."""
    from gate.i18n.language import language

    words = language(code)
    parts = [_head(report, item, words), _proof(item, words), _to_do(report, item, words)]
    return "\n\n".join("\n".join(_plain(line) for line in part) for part in parts if part)


def _plain(line: str) -> str:
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


def _proof(item: ItemResult, words: Language) -> list[str]:
    from gate.render.presenter import MARKS

    evidence = item.outcome.evidence
    lines = [words("Asked: {asked}", asked=evidence.request)] if evidence.request else []
    if evidence.started:
        when, duration = words.moment(evidence.started), words.duration(evidence.duration)
        lines.append(
            words("On {when}, for {duration}, tries: {tries}", when=when, duration=duration, tries=evidence.attempts)
        )
    for row in item.outcome.rows:
        lines.append(f"{MARKS[row.status]}  {words.message(row.title)}: {words.message(row.message)}")
    lines += [f"{place}  {place.text}".rstrip() for place in evidence.locations]
    lines += [artifact.path for artifact in evidence.artifacts]
    return [*lines, "", *evidence.response.splitlines()] if evidence.response else lines


def _to_do(report: Report, item: ItemResult, words: Language) -> list[str]:
    lines = []
    if item.outcome.advice:
        lines.append(words("What to do: {advice}", advice=item.outcome.advice))
    cause = item.outcome.cause
    others = (
        [other.id for other in report.items if other.outcome.cause == cause and other.id != item.id] if cause else []
    )
    if others:
        lines.append(words("The same cause: {items}", items=", ".join(others)))
    if item.outcome.evidence.reproduce_command:
        lines.append(words("By hand: {command}", command=item.outcome.evidence.reproduce_command))
    lines.append(words("Again: {command}", command=_run(report.files or [DEFAULT_FILE], item.id)))
    return lines
