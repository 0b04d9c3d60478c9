"""Decode one check as a checklist writes it: `{within: 10s, http: {...}}`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

from msgspec import structs

from gate.checks import CHECKS
from gate.checks.base import Check
from gate.core.override import override
from gate.decode.quantities import PositiveDurationSeconds
from gate.decode.structs import (
    KeyPath,
    ValidationError,
    ValidationIssue,
    convert,
    decode_all_errors,
    fields_by_key,
    quote_choices,
    struct_issues,
)
from gate.model import FrozenStruct

# The check without `within`: retried until it passes, it would break staging again and again.
DRILL_KIND = "drill"


class CheckEntry(FrozenStruct):
    """Exactly one check with its limits: the common part of an item and of a criterion of a drill.

    `within`: seconds for which to retry until the check passes. `timeout`: seconds that one attempt may take.
    """

    within: PositiveDurationSeconds | None = None
    timeout: PositiveDurationSeconds | None = None
    check: Any = None

    @classmethod
    @override
    def decode(cls, value: Any) -> Self:
        """Decode a mapping that holds the check under its kind. Raises ValueError or msgspec.ValidationError."""
        kinds = _kinds_in(value)
        if len(kinds) != 1 or "check" in value or _conflicting_keys(kinds[0], value):
            raise ValueError("expected exactly one check")
        own = {key: entry for key, entry in value.items() if key != kinds[0]}
        decoded: Self = convert({**own, "check": _decode_check(kinds[0], value[kinds[0]])}, cls)
        return decoded

    @classmethod
    @override
    def iter_issues(cls, value: Any, path: KeyPath = ()) -> Iterator[ValidationIssue]:
        kinds = _kinds_in(value)
        own_values = (
            {key: entry for key, entry in value.items() if key not in kinds} if isinstance(value, dict) else value
        )
        own_fields = {key: field for key, field in fields_by_key(cls).items() if key != "check"}
        issues = list(
            struct_issues(own_values, own_fields, path, also=CHECKS.kinds(), elsewhere=_keys_of_checks(kinds))
        )
        has_unknown_key = any(issue.scope == "key" and len(issue.path) == len(path) + 1 for issue in issues)
        if len(kinds) > 1:
            text = f"expected exactly one check, got {' and '.join(kinds)}"
            issues.append(ValidationIssue((*path, kinds[1]), text, value[kinds[1]], "key"))
        elif isinstance(value, dict) and not kinds and not has_unknown_key:  # an unknown key is a misspelt check
            text = f"no check, expected exactly one of {quote_choices(CHECKS.kinds())}"
            issues.append(ValidationIssue(path, text, value, "whole"))
        for kind in kinds:
            issues += _check_issues(kind, value[kind], (*path, kind)) or _conflicting_keys(kind, value, path)
        yield from issues

    @property
    def kind(self) -> str:
        """Return the kind of the check."""
        return str(self.check.kind)

    @property
    def total_timeout(self) -> float:
        """Return the seconds that all attempts may take together."""
        return self.within if self.within is not None else self.attempt_timeout

    @property
    def attempt_timeout(self) -> float:
        """Return the seconds that one attempt may take."""
        return self.timeout or self.check.time_limit or float("inf")


def _kinds_in(value: Any) -> list[str]:
    """Return the keys of a mapping that are kinds of checks."""
    return [key for key in value if key in CHECKS.kinds()] if isinstance(value, dict) else []


def _keys_of_checks(kinds: list[str]) -> dict[str, str]:
    """Return the keys of these checks, each with the place to write it: for a hint about one written beside them."""
    return {key: f"'{key}' under '{kind}'" for kind in kinds for key in fields_by_key(CHECKS.get_class(kind))}


def _decode_check(kind: str, value: Any) -> Check[Any]:
    """Decode the value of a check. Raises ValueError or msgspec.ValidationError."""
    check: Check[Any] = CHECKS.get_class(kind).decode(value)
    if why := check.missing_expectation():
        raise ValueError(why)
    return check


def _check_issues(kind: str, value: Any, path: KeyPath) -> list[ValidationIssue]:
    """Return what is wrong with the value of a check."""
    try:
        why = decode_all_errors(value, CHECKS.get_class(kind)).missing_expectation()
    except ValidationError as error:
        return [structs.replace(issue, path=(*path, *issue.path)) for issue in error.issues]
    return [ValidationIssue(path, why, value, "whole")] if why else []


def _conflicting_keys(kind: str, value: dict[str, Any], path: KeyPath = ()) -> list[ValidationIssue]:
    """Return an issue for each key beside a check that must not stand there."""
    if kind != DRILL_KIND or "within" not in value:
        return []
    text = "expected no 'within' beside a drill: it runs once, and its criteria have their own"
    return [ValidationIssue((*path, "within"), text, value["within"])]
