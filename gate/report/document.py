"""`report.json`: the report as text and back. Every other format is made from it."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from gate.model import Report
from gate.secrets import known


class NotAReport(Exception):
    """A file that was to be a report and is none."""


def to_json(report: Report) -> str:
    """The report as JSON text, as the published schema describes it."""
    try:
        return report.model_dump_json(indent=1, exclude_none=True) + "\n"
    except PydanticSerializationError:  # half a character, which is in no JSON of pydantic's
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
    """The report of a file, whose names are shown as they are. Raises NotAReport, also where it cannot be read."""
    try:
        report = from_json(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise NotAReport(f"{path} cannot be read: {error}") from error
    sections = report.sections
    ids = [section.id for section in sections] + [item.id for section in sections for item in section.items]
    known().show(*ids, *(target.name for target in report.targets))
    return report
