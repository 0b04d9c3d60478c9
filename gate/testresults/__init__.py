"""Parse the results of test programs, one module per format: `parse(text) -> Results`, `looks_like(text) -> bool`."""

from gate.core.plugins import Registry

FORMATS = Registry(
    "gate.testresults",
    excluded=frozenset({"base", "quarantine"}),
    modules={"go": "gate.testresults.gotest", "gojson": "gate.testresults.gotest_json"},
)
