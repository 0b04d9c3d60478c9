"""Write and read `report.json`, from which every other format is rendered."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import msgspec

from gate.core.errors import GateError
from gate.core.messages import msg
from gate.model import Report
from gate.redaction.secrets import default_redactor


class InvalidReportError(GateError):
    """A file that cannot be read as a report."""


def to_json(report: Report) -> str:
    """Return a report as JSON text that follows the published schema."""
    try:
        text = msgspec.json.encode(report, enc_hook=_to_builtin).decode()
    except UnicodeEncodeError:  # a lone surrogate, which UTF-8 cannot encode
        data = json.dumps(msgspec.to_builtins(report, enc_hook=_to_builtin), ensure_ascii=False).encode(
            "utf-8", "replace"
        )
        text = msgspec.json.encode(msgspec.json.decode(data)).decode()
    return msgspec.json.format(text, indent=1) + "\n"


def _to_builtin(value: object) -> object:
    """Convert a value of a subclass of str, int or float, which msgspec does not encode, to its base."""
    for builtin in (str, int, float):
        if isinstance(value, builtin):
            return builtin(value)
    raise TypeError(f"{type(value).__name__} cannot be part of a report")


def from_json(text: str, name: str) -> Report:
    """Return the report in a JSON text; `name` names it in errors. Raise InvalidReportError."""
    try:
        return _decoder().decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise InvalidReportError(msg("{file}: not a valid report: {error}", file=name, error=str(error))) from error


@cache
def _decoder() -> msgspec.json.Decoder[Report]:
    return msgspec.json.Decoder(Report)


def read_report(path: Path) -> Report:
    """Read the report in a file. Raise InvalidReportError if the file cannot be read, or is not a report.

    Exempt the report's ids and target names from redaction.
    """
    try:
        report = from_json(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError as error:
        text = msg("{file}: no such file; expected the report.json that `prodgate run` wrote to its --out folder",
                   file=str(path))  # fmt: skip
        raise InvalidReportError(text) from error
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise InvalidReportError(msg("{file}: cannot be read: {error}", file=str(path), error=why)) from error
    sections = report.sections
    # The names were redacted or accepted when the report was written. A secret of this environment that equals one of
    # them must not break the links between an item and its evidence.
    ids = [section.id for section in sections] + [item.id for section in sections for item in section.items]
    default_redactor().allow(*ids, *(target.name for target in report.targets))
    return report
