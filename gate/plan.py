"""What a run will do, and for how long at worst: read from the checklist alone, touching nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter

from gate.checklist.models import Checklist, Item
from gate.checklist.references import wanted
from gate.messages import Message, say
from gate.staging.engine import NoEngine, client, own_image
from gate.staging.spec import Target

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
    steps = [_here(checklist, items), _targets(checklist, items)]
    for name in _PHASES:
        group = [item for item in items if item.check.phase == name]
        if group:
            steps.append(_phase(name, group, 1 if name == "drill" else workers))
    return Plan(tuple(steps))


def _targets(checklist: Checklist, items: list[Item]) -> Step:
    """The targets that the items need. They come up side by side, but for those that others come after."""
    targets = {name: checklist.targets[name] for name in wanted(items, checklist.targets)}
    lines = [say("{target}: {effect}", target=name, effect=line) for name in targets for line in targets[name].plan()]
    return Step(say("Targets"), tuple(lines), _until_ready(targets))


def _until_ready(targets: Mapping[str, Target]) -> float:
    """Seconds until all targets are ready at the latest, each after those that come before it."""
    until: dict[str, float] = {}
    for name in TopologicalSorter({name: target.awaits for name, target in targets.items()}).static_order():
        ready, awaits = targets[name].ready, targets[name].awaits
        until[name] = (ready.within if ready else 0.0) + max((until[other] for other in awaits), default=0.0)
    return max(until.values(), default=0.0)


def _here(checklist: Checklist, items: list[Item]) -> Step:
    """The rights that it takes, and what can't be had here. Asks the engine for its version, and nothing else."""
    needing = [name for name in wanted(items, checklist.targets) if checklist.targets[name].needs_engine]
    if not needing:
        return Step(say("Rights"), (say("none: no container engine is needed"),), 0.0)
    names = ", ".join(needing)
    lines = [say("{targets}: the right to use the container engine (/var/run/docker.sock)", targets=names)]
    try:
        client()
    except NoEngine as error:
        lines.append(say("not here: {targets}: {why}", targets=names, why=error.message))
        return Step(say("Rights"), tuple(lines), 0.0)
    if own_image() is None and any(_behind(item) for item in items):
        lines.append(say("not here: a proxy or stub in the place of a container: set PRODGATE_IMAGE"))
    return Step(say("Rights"), tuple(lines), 0.0)


def _behind(item: Item) -> bool:
    return (
        item.kind == "drill" and item.check.fault is not None and item.check.fault.fault.kind in ("slow", "impersonate")
    )


def _phase(name: str, items: list[Item], workers: int) -> Step:
    longest = [item.check.worst(item) for item in items]
    title = {
        "main": say("{count} items, {workers} at a time", count=len(items), workers=workers),
        "drill": say("{count} drills, one at a time", count=len(items)),
        "after": say("{count} items after the drills", count=len(items)),
    }[name]
    lines = [say("{item}: {effect}", item=item.id, effect=effect) for item in items for effect in item.check.effects()]
    return Step(title, tuple(lines), sum(longest) / workers + max(longest) if workers > 1 else sum(longest))
