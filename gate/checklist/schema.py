"""The JSON Schemas (draft 2020-12) of the checklist and of the report, generated from what loads them."""

from __future__ import annotations

from typing import Any

from gate.checklist.models import Checklist
from gate.checks import CHECKS
from gate.model import Report

_DRAFT = "https://json-schema.org/draft/2020-12/schema"


def checklist_schema() -> dict[str, Any]:
    """The schema of `prodgate.yml`."""
    schema = Checklist.model_json_schema(ref_template="#/$defs/{model}")
    definitions = schema.setdefault("$defs", {})
    for name in CHECKS.names():
        made = CHECKS.load(name).model_json_schema(ref_template="#/$defs/{model}")
        definitions.update(made.pop("$defs", {}))
        definitions[name] = {**made, "title": name, "description": CHECKS.load(name).summary}
    schema["patternProperties"] = {"^x-": {}}
    return {"$schema": _DRAFT, **schema, "title": "prodgate checklist"}


def report_schema() -> dict[str, Any]:
    """The schema of `report.json`."""
    schema = Report.model_json_schema(mode="serialization", ref_template="#/$defs/{model}")
    return {"$schema": _DRAFT, **schema, "title": "prodgate report"}
