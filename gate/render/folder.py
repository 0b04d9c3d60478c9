"""Writes the report into a folder, in every format; `report.json` first."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from gate.evidence import SUMS, is_open
from gate.model import Report
from gate.render import FORMATS
from gate.render.beside import Beside
from gate.report.document import from_json, to_json
from gate.report.proof import PREDICATE, STATEMENT, seal

FILES = {"json": "report.json", "md": "report.md", "junit": "junit.xml", "html": "report.html"}


def clear(folder: Path, keep: Collection[Path] = ()) -> None:
    """Removes what an earlier run has left: it must not speak for one that breaks. Raises OSError where it can't.

    Files of `keep` stay.
    """
    kept = {path.resolve() for path in keep}
    if (folder / FILES["json"]).is_file():
        (folder / SUMS).write_bytes(b"")
    elif not is_open(folder):
        (folder / SUMS).unlink(missing_ok=True)
    for name in [*FILES.values(), PREDICATE, STATEMENT]:
        if (folder / name).resolve() not in kept:
            (folder / name).unlink(missing_ok=True)


def write(report: Report, folder: Path, helper: Beside | None = None) -> dict[str, Path]:
    """Writes every format into a folder, and returns the files by format. One that fails does not keep the others.

    `helper` renders some of them meanwhile. Raises ExceptionGroup at the end for those that failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = to_json(report)
    if helper:
        helper.ask(text.encode("utf-8", "replace"))
    written, errors = {}, []
    made = {"json": text.encode("utf-8", "replace")}
    for name, file in FILES.items():
        try:
            path = folder / file
            path.write_bytes(made[name] if name in made else content(report, name))
            written[name] = path
            if name == "json":
                made = helper.contents() if helper else {}
                report = report if made else from_json(text, file)  # what it can't hold is in no other format either
        except Exception as error:  # noqa: BLE001 - a format that breaks must not cost the other reports
            errors.append(error)
    if not errors:
        written |= seal(report, folder, list(FILES.values()))
    if errors:
        raise ExceptionGroup("some reports could not be written", errors)
    return written


def content(report: Report, name: str) -> bytes:
    """What the file of a format holds."""
    text = to_json(report) if name == "json" else FORMATS.module(name).render(report, report.language)
    return str(text).encode("utf-8", "replace")
