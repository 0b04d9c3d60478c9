"""Writes the report as files and reads it back. `report.json` comes first: every other format is made from it."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from gate.model import Report

FILES = {"json": "report.json", "md": "report.md", "junit": "junit.xml", "html": "report.html"}


class NotAReport(Exception):
    """A file that was to be a report and is none."""


def to_json(report: Report) -> str:
    """The report as JSON text, as the published schema describes it."""
    data = report.model_dump(mode="json", exclude_none=True)
    return json.dumps(data, ensure_ascii=False, indent=1).encode("utf-8", "replace").decode() + "\n"


def from_json(text: str, name: str) -> Report:
    """The report of a JSON text. Raises NotAReport."""
    try:
        return Report.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the top"
        raise NotAReport(f"{name} is no report of this gate: at {where}: {first['msg']}") from error


def read(path: Path) -> Report:
    """The report of a file. Raises NotAReport, also for a file that cannot be read."""
    try:
        return from_json(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise NotAReport(f"{path} cannot be read: {error}") from error


def write(report: Report, folder: Path) -> dict[str, Path]:
    """Writes every format into a folder, and returns the files by format. One that fails does not keep the others.

    Raises ExceptionGroup at the end for those that failed.
    """
    from gate.render import FORMATS

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
