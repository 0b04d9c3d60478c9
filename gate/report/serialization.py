"""`report.json`: the report as text and back. Every other format is made from it."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import msgspec

from gate.model import Report
from gate.redaction.secrets import default_redactor


class InvalidReportError(Exception):
    """A file that was to be a report and is none."""


def to_json(report: Report) -> str:
    """The report as JSON text, as the published schema describes it."""
    try:
        text = msgspec.json.encode(report, enc_hook=_plain).decode()
    except UnicodeEncodeError:  # half a character, which is in no UTF-8
        data = json.dumps(msgspec.to_builtins(report, enc_hook=_plain), ensure_ascii=False).encode("utf-8", "replace")
        text = msgspec.json.encode(msgspec.json.decode(data)).decode()
    return msgspec.json.format(text, indent=1) + "\n"


def _plain(value: object) -> object:
    """What stands for a value of a type that JSON has not: numbers and text of our own types."""
    for plain in (str, int, float):
        if isinstance(value, plain):
            return plain(value)
    raise TypeError(f"{type(value).__name__} is nothing that a report may hold")


def from_json(text: str, name: str) -> Report:
    """The report of a JSON text. Raises NotAReport."""
    try:
        return _decoder().decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise InvalidReportError(f"{name} is no report of this gate: {error}") from error


@cache
def _decoder() -> msgspec.json.Decoder[Report]:
    return msgspec.json.Decoder(Report)


def read_report(path: Path) -> Report:
    """The report of a file, whose names are shown as they are. Raises NotAReport, also where it cannot be read."""
    try:
        report = from_json(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidReportError(f"{path} cannot be read: {error}") from error
    sections = report.sections
    ids = [section.id for section in sections] + [item.id for section in sections for item in section.items]
    default_redactor().allow(*ids, *(target.name for target in report.targets))
    return report
