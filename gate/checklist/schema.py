"""The JSON Schemas (draft 2020-12) of the checklist and of the report, generated from what loads them."""

from __future__ import annotations

from typing import Any

from gate.checklist.models import Checklist
from gate.checks import CHECKS
from gate.checks.asked import CHECK_REF
from gate.checks.base import Check
from gate.model import Report

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_VARIABLE = {"type": "string", "pattern": r"\$\{"}


def checklist_schema() -> dict[str, Any]:
    """The schema of `prodgate.yml`."""
    schema = Checklist.model_json_schema(ref_template="#/$defs/{model}")
    definitions = schema.setdefault("$defs", {})
    for name in CHECKS.names():
        made = CHECKS.load(name).model_json_schema(ref_template="#/$defs/{model}")
        definitions.update(made.pop("$defs", {}))
        definitions[name] = {
            **made,
            **_expects(CHECKS.load(name)),
            "title": name,
            "description": CHECKS.load(name).summary,
        }
    schema["patternProperties"] = {"^x-": {}}
    made = {"$schema": _DRAFT, **schema, "title": "prodgate checklist"}
    return {key: _referred(value) for key, value in made.items()}


def _expects(check: type[Check[Any]]) -> dict[str, Any]:
    """That a check expects something: at least one of the keys that say what."""
    return {"anyOf": [_required(path.split(".")) for path in check.expects]} if check.expects else {}


def _required(path: list[str]) -> dict[str, Any]:
    inside = {"properties": {path[0]: _required(path[1:])}} if path[1:] else {}
    return {"required": [path[0]], **inside}


def _referred(value: Any) -> Any:
    """The same with a reference wherever the schema of a check belongs."""
    if isinstance(value, list):
        return [_referred(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    if CHECK_REF in value:
        return {"$ref": f"#/$defs/{value[CHECK_REF]}"}
    made = {key: _referred(entry) for key, entry in value.items()}
    return _or_variable(made) if _is_strict(value) else made


def _is_strict(schema: dict[str, Any]) -> bool:
    """Whether a scalar is described that `${NAME}`, which is filled in before anything is checked, would not match."""
    return schema.get("type") in ("integer", "number", "boolean") or isinstance(schema.get("pattern"), str)


def _or_variable(schema: dict[str, Any]) -> dict[str, Any]:
    said: dict[str, Any] = {
        key: schema[key] for key in ("title", "description", "default", "examples") if key in schema
    }
    rest = {key: entry for key, entry in schema.items() if key not in said}
    return {**said, "anyOf": [rest, _VARIABLE]}


def report_schema() -> dict[str, Any]:
    """The schema of `report.json`."""
    schema = Report.model_json_schema(mode="serialization", ref_template="#/$defs/{model}")
    return {"$schema": _DRAFT, **schema, "title": "prodgate report"}
