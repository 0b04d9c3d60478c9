"""What test programs leave behind, one module per format: `parse(text) -> Results`, `looks_like(text) -> bool`."""

from gate.core.plugins import Registry

FORMATS = Registry("gate.testresults", excluded=frozenset({"base", "quarantine"}))
