"""Generate the JSON Schemas (draft 2020-12) of the checklist and of the report from their models."""

from __future__ import annotations

from inspect import cleandoc
from typing import Any

import msgspec

from gate.checklist.models import Checklist, Item
from gate.checks import CHECKS
from gate.checks.base import Check
from gate.checks.entry import DRILL_KIND
from gate.drills.spec import Criterion
from gate.matchers import MATCHERS
from gate.model import Report
from gate.staging.faults import FAULTS

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_REF = "#/$defs/{name}"
_VARIABLE = {"type": "string", "pattern": r"\$\{"}


def checklist_schema() -> dict[str, Any]:
    """Return the schema of `prodgate.yml`."""
    checks = {name: CHECKS.get_class(name) for name in CHECKS.kinds()}
    faults = {name: FAULTS.get_class(name) for name in FAULTS.kinds()}
    replaced = _definitions([Criterion, *checks.values(), *faults.values()])
    # Checks are replaced as a whole. In all else, a later file removes a key with null.
    definitions = _definitions([Checklist, Item]) | {name: _without_nothing(model) for name, model in replaced.items()}
    for model in (Item, Criterion):
        definitions[model.__name__] = _with_one_check(definitions[model.__name__])
    definitions["FaultSpec"] = _fault({name: definitions.pop(fault.__name__) for name, fault in faults.items()})
    for name, check in checks.items():
        definition = {**definitions.pop(check.__name__), **_expects(check), **check.schema_extra}
        definitions[name] = {**definition, "title": name, "description": check.summary}
    definitions |= {model.__name__: model.schema_of(_REF.format(name=model.__name__)) for model in MATCHERS}
    top = {**definitions.pop(Checklist.__name__), "$defs": definitions, "patternProperties": {"^x-": {}}}
    return {"$schema": _DRAFT, **_filled_in(top), "title": "prodgate checklist"}


def report_schema() -> dict[str, Any]:
    """Return the schema of `report.json`."""
    definitions = _definitions([Report])
    return {"$schema": _DRAFT, **definitions.pop(Report.__name__), "title": "prodgate report", "$defs": definitions}


def _definitions(models: list[Any]) -> dict[str, Any]:
    """Return the schemas of some models and of all that they refer to, by name."""
    _, components = msgspec.json.schema_components(models, schema_hook=_of_form, ref_template=_REF)
    plain = msgspec.json.decode(msgspec.json.encode(components))
    return {name: _clean(schema) for name, schema in sorted(plain.items())}


def _of_form(custom: Any) -> dict[str, Any]:
    """Return the schema of a custom type."""
    if custom in MATCHERS:
        return {"$ref": _REF.format(name=custom.__name__)}
    if hasattr(custom, "model"):
        return {"$ref": _REF.format(name=custom.model.__name__)}
    schema: dict[str, Any] = custom.schema
    return schema


def _clean(schema: dict[str, Any]) -> dict[str, Any]:
    return {**schema, "description": cleandoc(schema["description"])} if "description" in schema else schema


def _without_nothing(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a model without null: a key that is present must have a value."""
    if "properties" not in schema:
        return schema
    return {**schema, "properties": {key: _with_value(entry) for key, entry in schema["properties"].items()}}


def _with_value(schema: dict[str, Any]) -> dict[str, Any]:
    null = {"type": "null"}
    rest = {key: entry for key, entry in schema.items() if (key, entry) not in (("default", None), ("anyOf", [null]))}
    if "anyOf" in rest:
        ways = [way for way in rest.pop("anyOf") if way != null]
        return rest | (ways[0] if len(ways) == 1 else {"anyOf": ways})
    if "$ref" in rest and isinstance(rest.get("default"), dict):
        return {**rest, "minProperties": 1}
    return rest if rest.keys() & {"type", "$ref", "enum", "const"} else {**rest, "not": null}


def _with_one_check(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a struct with exactly one check, keyed by its kind."""
    own = {key: entry for key, entry in schema["properties"].items() if key != "check"}
    once = {"required": [DRILL_KIND], "properties": {"within": False}}
    checks: dict[str, Any] = {name: {"$ref": _REF.format(name=name)} for name in CHECKS.kinds()}
    ways = [once if name == DRILL_KIND else {"required": [name]} for name in checks]
    return {**schema, "properties": {**own, **checks}, "oneOf": ways}


def _fault(kinds: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the schema of exactly one fault, which may be shortened to its target."""
    short = {
        name: schema if name == "run" else {"anyOf": [{"type": "string"}, schema]} for name, schema in kinds.items()
    }
    return {
        "type": "object",
        "properties": short,
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
    }


def _expects(check: type[Check[Any]]) -> dict[str, Any]:
    """Return the constraint that a check has at least one of its expectation keys."""
    return {"anyOf": [_required(path.split(".")) for path in check.expectation_keys]} if check.expectation_keys else {}


def _required(path: list[str]) -> dict[str, Any]:
    inside = {"properties": {path[0]: _required(path[1:])}} if path[1:] else {}
    return {"required": [path[0]], **inside}


def _filled_in(value: Any) -> Any:
    """Return the schema with `${NAME}` allowed for every scalar, as variables are replaced before validation."""
    if isinstance(value, list):
        return [_filled_in(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    filled = {key: _filled_in(entry) for key, entry in value.items()}
    return _or_variable(filled) if _is_strict(value) else filled


def _is_strict(schema: dict[str, Any]) -> bool:
    """Return whether the schema describes a scalar that `${NAME}` would not match."""
    return schema.get("type") in ("integer", "number", "boolean") or isinstance(schema.get("pattern"), str)


def _or_variable(schema: dict[str, Any]) -> dict[str, Any]:
    annotations: dict[str, Any] = {
        key: schema[key] for key in ("title", "description", "default", "examples") if key in schema
    }
    rest = {key: entry for key, entry in schema.items() if key not in annotations}
    return {**annotations, "anyOf": [rest, _VARIABLE]}
