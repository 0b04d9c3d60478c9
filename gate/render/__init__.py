"""Render a report: one module per format, with `render(report, code) -> str`. A format never changes a verdict."""

from gate.core.plugins import Registry

FORMATS = Registry(
    "gate.render",
    excluded=frozenset({"escape_markdown", "formats", "output_folder", "presenter", "worker"}),
    modules={"md": "gate.render.markdown_report"},
)
