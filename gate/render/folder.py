"""Writes the report into a folder, in every format; `report.json` first."""

from __future__ import annotations

from pathlib import Path

from gate.model import Report
from gate.render import FORMATS
from gate.report.document import to_json

FILES = {"json": "report.json", "md": "report.md", "junit": "junit.xml", "html": "report.html"}


def write(report: Report, folder: Path) -> dict[str, Path]:
    """Writes every format into a folder, and returns the files by format. One that fails does not keep the others.

    Raises ExceptionGroup at the end for those that failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written, errors = {}, []
    for name, file in FILES.items():
        try:
            text = to_json(report) if name == "json" else FORMATS.module(name).render(report, report.language)
            path = folder / file
            path.write_text(text, encoding="utf-8", errors="replace")
            written[name] = path
        except Exception as error:  # noqa: BLE001 - a format that breaks must not cost the other reports
            errors.append(error)
    if errors:
        raise ExceptionGroup("some reports could not be written", errors)
    return written
