"""Route label sets through the routing tree of Alertmanager."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from msgspec import Struct, structs

from gate.alertmanager.matchers import Matcher, all_match
from gate.alertmanager.time_intervals import TimeInterval, any_contains


class Route(Struct, frozen=True):
    """A route with the settings that it inherits. Times are in seconds; `group_by` is None for all labels."""

    receiver: str
    group_wait: float
    group_interval: float
    repeat_interval: float
    matchers: tuple[Matcher, ...] = ()
    continues: bool = False
    routes: tuple[Route, ...] = ()
    group_by: tuple[str, ...] | None = ()
    mute: tuple[str, ...] = ()
    active: tuple[str, ...] = ()
    line: int = 1

    def with_routes(self, routes: tuple[Route, ...]) -> Route:
        """Return the route with its children."""
        return structs.replace(self, routes=routes)

    def match(self, labels: Mapping[str, str]) -> list[Route]:
        """Return the routes that an alert with these labels ends in, in their order; none if it does not match."""
        if not all_match(self.matchers, labels):
            return []
        found: list[Route] = []
        for child in self.routes:
            matched = child.match(labels)
            found += matched
            if matched and not child.continues:
                break
        return found or [self]

    def walk(self) -> Iterator[Route]:
        """Yield the route and everything below it."""
        yield self
        for child in self.routes:
            yield from child.walk()

    def muted_by(self, intervals: Mapping[str, tuple[TimeInterval, ...]], at: datetime) -> tuple[str, ...]:
        """Return the names of the time intervals that mute the route at a moment; empty if none does."""
        if muting := any_contains(intervals, self.mute, at):
            return (muting,)
        if self.active and not any_contains(intervals, self.active, at):
            return self.active
        return ()
