"""Map each format to its file name and render a report in it."""

from __future__ import annotations

from gate.model import Report
from gate.render import FORMATS
from gate.report.serialization import to_json

FILE_NAMES = {"json": "report.json", "md": "report.md", "junit": "junit.xml", "html": "report.html"}


def render_format(report: Report, name: str) -> bytes:
    """Return the content of the file of format `name`, a key of FILE_NAMES."""
    text = to_json(report) if name == "json" else FORMATS.import_module(name).render(report, report.language)
    return str(text).encode("utf-8", "replace")
