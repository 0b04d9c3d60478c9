"""The formats: one module each, with `render(report, language) -> str`. A format never changes a verdict."""

from gate.registry import Registry

FORMATS = Registry("gate.render", word="format", apart=frozenset({"beside", "folder", "markdown"}))
