"""The formats: one module each, with `render(report, language) -> str`. A format never changes a verdict."""
