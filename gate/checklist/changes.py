"""What a change of the checklist makes weaker: a gate that its own commit loosens is walked around. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gate.checklist.models import Checklist, Item
from gate.matchers import Matcher, show
from gate.messages import Message, say
from gate.model import Reason, Severity
from gate.quantities import duration

_PATIENCE = ("within", "timeout")


def weaker(base: Checklist, changed: Checklist) -> list[Reason]:
    """Every way in which `changed` asks less than `base`, or other things: one reservation each, in base's order."""
    items = {item.id: item for item in changed.items}
    found = [_reason(message, item.id) for item in base.items for message in _item(item, items.get(item.id))]
    return [*found, *(_reason(message, name) for name, message in _waivers(base, changed))]


def _reason(message: Message, item: str) -> Reason:
    return Reason(message=say("The checklist was changed: {what}", what=message), items=(item,))


def _item(old: Item, new: Item | None) -> Iterator[Message]:
    if new is None:
        yield say("{item} was removed", item=old.id)
        return
    if old.severity is Severity.BLOCKING and new.severity is Severity.ADVISORY:
        yield say("{item} is advisory, was blocking", item=old.id)
    if old.kind != new.kind:
        yield say("{item} asks {new}, asked {old}", item=old.id, new=new.kind, old=old.kind)
        return
    for name in _PATIENCE:
        yield from _patience(old, new, name)
    yield from _expectations(old.id, _plain(old.check), _plain(new.check), "")


def _patience(old: Item, new: Item, name: str) -> Iterator[Message]:
    before, after = getattr(old, name), getattr(new, name)
    if after is not None and after > (before or 0.0):
        was = duration(before) if before is not None else "-"
        yield say("{item}: {key} is {now}, was {was}", item=old.id, key=name, now=duration(after), was=was)


def _expectations(item: str, old: Any, new: Any, at: str) -> Iterator[Message]:
    """Every value of `old` that is no longer there, or is another one. What is new only asks more."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key, value in old.items():
            yield from _expectations(item, value, new.get(key), f"{at}.{key}" if at else str(key))
    elif isinstance(old, list) and isinstance(new, list) and len(old) <= len(new):
        for number, value in enumerate(old):
            yield from _expectations(item, value, new[number], f"{at}[{number}]")
    elif new is None and old is not None:
        yield say("{item}: {key} is no longer expected, was {was}", item=item, key=at, was=show(old))
    elif old != new:
        yield say("{item}: {key} is {now}, was {was}", item=item, key=at, now=show(new), was=show(old))


def _plain(value: Any) -> Any:
    """What a checklist says of a check, as plain data, without what it leaves to the defaults."""
    if isinstance(value, Matcher):
        return {"=": _plain(value.spec)} if isinstance(value.spec, dict) else value.spec
    if hasattr(value, "model_fields_set"):
        fields = type(value).model_fields
        return {fields[name].alias or name: _plain(getattr(value, name)) for name in sorted(value.model_fields_set)}
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, list | tuple) else value


def _waivers(base: Checklist, changed: Checklist) -> Iterator[tuple[str, Message]]:
    known = {waiver.item: waiver for waiver in base.waivers}
    for waiver in changed.waivers:
        old = known.get(waiver.item)
        if old is None:
            day = waiver.expires.isoformat()
            yield (
                waiver.item,
                say("{item} is waived until {day} by {owner}", item=waiver.item, day=day, owner=waiver.owner),
            )
        elif waiver.expires > old.expires:
            now, was = waiver.expires.isoformat(), old.expires.isoformat()
            yield (
                waiver.item,
                say("the waiver of {item} lasts until {now}, was {was}", item=waiver.item, now=now, was=was),
            )
    for name in ("max", "max_days"):
        before, after = getattr(base.waiver_policy, name), getattr(changed.waiver_policy, name)
        if before is not None and (after is None or after > before):
            yield "waiver_policy", say("waiver_policy.{key} is {now}, was {was}", key=name, now=show(after), was=before)
