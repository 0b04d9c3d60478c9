"""Read Alertmanager configurations: which receiver an alert reaches, and after how long."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from gate.scaffold.files import get_list, get_str
from gate.scaffold.readers.compose import seconds

#: Alertmanager's default.
_GROUP_WAIT = 30.0
_DEPTH = 20


class Receiver(Struct, frozen=True):
    """A receiver of notifications, and the seconds that a new group waits for it."""

    name: str
    group_wait: float


def receiver_of(config: Any, labels: dict[str, str]) -> Receiver | None:
    """Return the receiver of an alert with these labels; None if its route has a matcher that can't be judged."""
    route = config.get("route") if isinstance(config, dict) else None
    name, wait = "", _GROUP_WAIT
    for _ in range(_DEPTH):
        name = get_str(route, "receiver") or name
        wait = seconds(route.get("group_wait"), wait) if isinstance(route, dict) else wait
        matching = [(inner, _matches(inner, labels)) for inner in get_list(route, "routes")]
        if any(matches is None for _, matches in matching):
            return None
        route = next((inner for inner, matches in matching if matches), None)
        if route is None:
            break
    notifies = [
        receiver
        for receiver in get_list(config, "receivers")
        if get_str(receiver, "name") == name and any(str(key).endswith("_configs") for key in receiver)
    ]
    return Receiver(name, wait) if notifies else None


def _matches(route: Any, labels: dict[str, str]) -> bool | None:
    """Return whether a route takes the labels; None for anything but equality."""
    if not isinstance(route, dict) or route.get("match_re") or route.get("continue"):
        return None
    pairs = {str(name): str(value) for name, value in (route.get("match") or {}).items()}
    for matcher in get_list(route, "matchers"):
        name, equals, value = str(matcher).partition("=")
        if not equals or name.strip().endswith("!") or value.startswith("~"):
            return None
        pairs[name.strip()] = value.strip().strip("\"'")
    return all(labels.get(name, "") == value for name, value in pairs.items())
