"""Walks the types of models."""

from __future__ import annotations

from typing import Any, get_args

from gate.model import FrozenStruct


def models_in(wanted: Any) -> set[type[FrozenStruct]]:
    """Return the models that a type is made of, not those inside of these."""
    found = {part for each in get_args(wanted) for part in models_in(each)}
    for each in (wanted, getattr(wanted, "model", None), getattr(wanted, "target_type", None)):
        if isinstance(each, type) and issubclass(each, FrozenStruct):
            found.add(each)
    return found
