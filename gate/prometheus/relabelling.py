"""Apply relabelling to the labels of a target, as Prometheus does before it scrapes it.

https://prometheus.io/docs/prometheus/latest/configuration/configuration/#relabel_config
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from gate.prometheus import go_literals
from gate.prometheus.config_values import is_label
from gate.prometheus.goyaml import Values
from gate.prometheus.releases import Release

_VARIABLE = re.compile(r"\$(?:\$|(\w+)|\{(\w+)\})", re.ASCII)


def relabelled(labels: dict[str, str], steps: Iterable[Values], release: Release) -> dict[str, str] | None:
    """Return the labels after some relabelling steps, None if they drop the target.

    A label with an empty value counts as absent.
    """
    current = {name: value for name, value in labels.items() if value}
    for step in steps:
        changed = _step(current, step, release)
        if changed is None:
            return None
        current = changed
    return current


def _step(labels: dict[str, str], step: Values, release: Release) -> dict[str, str] | None:
    action = step["action"]
    value = step["separator"].join(labels.get(name, "") for name in step["source_labels"] or ())
    target = step["target_label"]
    if action in ("keep", "drop"):
        return labels if bool(_match(step, value)) == (action == "keep") else None
    if action in ("keepequal", "dropequal"):
        return labels if (labels.get(target, "") == value) == (action == "keepequal") else None
    if action == "replace":
        return _replaced(labels, step, value, release)
    if action == "labelmap":
        mapped = {_expanded(step["replacement"], match): labels[name]
                  for name in labels if (match := _match(step, name))}  # fmt: skip
        return {**labels, **mapped}
    if action in ("labeldrop", "labelkeep"):
        return {name: labels[name] for name in labels if bool(_match(step, name)) == (action == "labelkeep")}
    changed = {"lowercase": str.lower, "uppercase": str.upper}.get(action)
    return _set(labels, target, changed(value) if changed else _modulus(value, step["modulus"]))


def _replaced(labels: dict[str, str], step: Values, value: str, release: Release) -> dict[str, str]:
    match = _match(step, value)
    if not match:
        return labels
    target = _expanded(step["target_label"], match)
    if not is_label(target, release):
        return labels
    return _set(labels, target, _expanded(step["replacement"], match))


def _set(labels: dict[str, str], name: str, value: str) -> dict[str, str]:
    """Return the labels with one of them set, or removed if it is empty."""
    rest = {label: labels[label] for label in labels if label != name}
    return {**rest, name: value} if value else rest


def _match(step: Values, text: str) -> Any:
    return _compiled(step["regex"] or "").search(text)


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> Any:
    import re2

    return re2.compile(go_literals.check_regex(pattern))


def _expanded(template: str, match: Any) -> str:
    """Replace `$1` and `${name}` in a template by the groups of a match; an unknown group is empty."""

    def value(place: re.Match[str]) -> str:
        name = place[1] or place[2]
        if name is None:
            return "$"
        try:
            return match.group(int(name) if name.isdecimal() else name) or ""
        except (IndexError, KeyError):
            return ""

    return _VARIABLE.sub(value, template)


def _modulus(value: str, modulus: int) -> str:
    digest = hashlib.md5(value.encode("utf-8", "replace"), usedforsecurity=False).digest()
    return str(int.from_bytes(digest[8:], "big") % modulus)
