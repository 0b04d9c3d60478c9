"""What test programs leave behind, one module per format: `parse(text) -> Results`, `looks_like(text) -> bool`."""

from gate.registry import Registry

FORMATS = Registry("gate.testresults", word="format", apart=frozenset({"results", "quarantine"}))
