"""What a run will do, and for how long at worst: read from the checklist alone, touching nothing."""

from __future__ import annotations

from dataclasses import dataclass

from gate.checklist.models import Checklist, Item
from gate.messages import Message, say
from gate.quantities import duration

_PHASES = ("main", "drill", "after")


@dataclass(frozen=True)
class Step:
    """A part of the run. `worst` is in seconds."""

    title: Message
    lines: tuple[Message, ...]
    worst: float


@dataclass(frozen=True)
class Plan:
    """The parts of a run, in order."""

    steps: tuple[Step, ...]

    @property
    def worst(self) -> float:
        """Seconds that the run takes at most, without the publishing."""
        return sum(step.worst for step in self.steps)


def plan(checklist: Checklist, items: list[Item], workers: int) -> Plan:
    """The plan of a run of some items of a checklist, `workers` at a time."""
    steps = [_targets(checklist)]
    for name in _PHASES:
        group = [item for item in items if item.check.phase == name]
        if group:
            steps.append(_phase(name, group, 1 if name == "drill" else workers))
    return Plan(tuple(steps))


def _targets(checklist: Checklist) -> Step:
    lines, worst = [], 0.0
    for name, target in checklist.targets.items():
        within = target.ready.within if target.ready else 0.0
        worst = max(worst, within)
        where = target.url or target.container or ""
        lines.append(
            say("{target} at {address}: awaited for {within}", target=name, address=where, within=duration(within))
        )
    return Step(say("Targets"), tuple(lines), worst)


def _phase(name: str, items: list[Item], workers: int) -> Step:
    longest = [item.check.worst(item) for item in items]
    title = {
        "main": say("{count} items, {workers} at a time", count=len(items), workers=workers),
        "drill": say("{count} drills, one at a time", count=len(items)),
        "after": say("{count} items after the drills", count=len(items)),
    }[name]
    lines = [say("{item}: {effect}", item=item.id, effect=effect) for item in items for effect in item.check.effects()]
    return Step(title, tuple(lines), sum(longest) / workers + max(longest) if workers > 1 else sum(longest))
