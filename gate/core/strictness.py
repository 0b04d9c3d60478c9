"""Define what a change of a checklist's field means for `--compare`. It stands at the field, as `Meta(extra=...)`."""

from __future__ import annotations

from typing import Any, Literal, get_args

from msgspec import Meta, Struct

# How a new value only makes a check stricter. Every other change of the field is reported as a possible weakening.
#   set       a value where there was none; a matcher that accepts less
#   narrower  a matcher that accepts less, in a field that has a default
#   more      more entries: all of them must hold
#   fewer     fewer entries: each is an exemption
#   lower     a smaller upper bound
#   higher    a larger lower bound
#   never     no change: the field selects what is checked, or how
Change = Literal["set", "narrower", "more", "fewer", "lower", "higher", "never"]


class Strictness(Struct, frozen=True):
    """The changes of one field that only make it stricter.

    `entry_key` is the field that identifies an exemption; exemptions that are texts have none.
    """

    changes: frozenset[Change] = frozenset({"never"})
    entry_key: str = ""


# A field without metadata is treated as one that selects what is checked: its changes are reported.
UNCLASSIFIED = Strictness()


def stricter(*changes: Change, entry_key: str = "") -> dict[str, Strictness]:
    """Return the metadata of a field for `msgspec.Meta(extra=...)`."""
    return {"strictness": Strictness(frozenset(changes), entry_key)}


def find_strictness(field_type: Any) -> Strictness | None:
    """Return the metadata of a field's type; None if the field has none."""
    for annotation in get_args(field_type)[1:]:
        if isinstance(annotation, Meta) and annotation.extra and "strictness" in annotation.extra:
            strictness: Strictness = annotation.extra["strictness"]
            return strictness
    return None
