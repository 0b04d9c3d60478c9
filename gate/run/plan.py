"""Plan a run: its steps and their maximum duration, from the checklist alone."""

from __future__ import annotations

from collections.abc import Mapping
from graphlib import TopologicalSorter

from msgspec import Struct

from gate.checklist.cross_references import required_targets
from gate.checklist.dependencies import DependencyQueue, group_by_phase
from gate.checklist.drilled_targets import dependency_targets, drilled_faults
from gate.checklist.models import Checklist, Item
from gate.core.messages import Message, msg
from gate.drills.protocol import DRILL_PRECHECK_TIMEOUT, DrillCheck, max_duration
from gate.model import Status
from gate.staging.docker_client import DockerUnavailableError, docker_client, gate_image
from gate.staging.spec import Target


class Step(Struct, frozen=True):
    """A step of the run. `max_duration` is in seconds."""

    title: Message
    lines: tuple[Message, ...]
    max_duration: float


class Plan(Struct, frozen=True):
    """The steps of a run, in order."""

    steps: tuple[Step, ...]

    @property
    def max_duration(self) -> float:
        """Return the maximum duration of the run in seconds, without publishing."""
        return sum(step.max_duration for step in self.steps)


def plan(checklist: Checklist, items: list[Item], workers: int) -> Plan:
    """Return the plan of a run of some items, `workers` at a time."""
    steps = [_requirements(checklist, items), _targets(checklist, items)]
    steps += [_phase(name, group, workers, _coverage_gaps(checklist, items, group))
              for name, group in group_by_phase(items).items() if group]  # fmt: skip
    return Plan(tuple(steps))


def _targets(checklist: Checklist, items: list[Item]) -> Step:
    """Return the step that starts the targets of the items, in parallel as far as dependencies allow."""
    targets = {name: checklist.targets[name] for name in required_targets(items, checklist.targets)}
    lines = [
        msg("{target}: {effect}", target=name, effect=line)
        for name in targets
        for line in targets[name].planned_steps()
    ]
    if any(target.needs_pull_or_build for target in targets.values()) or any(item.check.needs_engine for item in items):
        lines.append(msg("pulling and building images is not counted: how long it takes is not known"))
    return Step(msg("Targets"), tuple(lines), _until_ready(targets))


def _until_ready(targets: Mapping[str, Target]) -> float:
    """Return the maximum seconds until all targets are ready, each after its dependencies."""
    until: dict[str, float] = {}
    dependencies = {name: target.dependencies(name) for name, target in targets.items()}
    for name in TopologicalSorter(dependencies).static_order():
        until[name] = targets[name].max_start_duration + max(
            (until[dependency] for dependency in dependencies[name]), default=0.0
        )
    return max(until.values(), default=0.0)


def _requirements(checklist: Checklist, items: list[Item]) -> Step:
    """Return the permissions that the run needs, and those missing here. Only requests Docker's version."""
    needing = [name for name in required_targets(items, checklist.targets) if checklist.targets[name].needs_docker]
    needing += [item.id for item in items if item.check.needs_engine]
    if not needing:
        return Step(msg("Rights"), (msg("none: no container engine is needed"),), 0.0)
    names = ", ".join(needing)
    lines = [msg("{targets}: the right to use the container engine (/var/run/docker.sock)", targets=names)]
    try:
        docker_client()
    except DockerUnavailableError as error:
        lines.append(msg("not here: {targets}: {why}", targets=names, why=error.message))
        return Step(msg("Rights"), tuple(lines), 0.0)
    if gate_image() is None and any(_needs_proxy(item, checklist.targets) for item in items):
        lines.append(msg("not here: a proxy or stub in the place of a container: set PRODGATE_IMAGE"))
    return Step(msg("Rights"), tuple(lines), 0.0)


def _needs_proxy(item: Item, targets: Mapping[str, Target]) -> bool:
    """Return whether the fault of an item replaces a container with a proxy or a stub."""
    fault = item.check.fault.fault if item.kind == "drill" and item.check.fault else None
    return fault is not None and fault.kind in ("slow", "impersonate") and targets[fault.target].needs_docker


def _phase(name: str, items: list[Item], workers: int, gaps: list[Message]) -> Step:
    drills = sum(item.check.phase == "drill" for item in items)
    title = {
        "main": msg("{count} items, {workers} at a time", count=len(items), workers=workers),
        "drill": msg("{count} drills, one at a time", count=drills),
        "after": msg("{count} items after the drills", count=len(items)),
    }[name]
    if name == "drill" and len(items) > drills:
        title = msg("{drills}, and {count} items that need one", drills=title, count=len(items) - drills)
    drill_items = [item for item in items if isinstance(item.check, DrillCheck)]
    lines = [
        msg("{item}: {effect}", item=item.id, effect=effect) for item in drill_items for effect in item.check.effects()
    ]
    at_once = 1 if name == "drill" else workers
    looking = DRILL_PRECHECK_TIMEOUT if drills else 0.0
    return Step(title, (*lines, *gaps), looking + _max_duration(items, at_once))


def _coverage_gaps(checklist: Checklist, selected: list[Item], items: list[Item]) -> list[Message]:
    """Return what the `coverage` items among some items will miss even if every selected drill passes."""
    checks = [(item.id, item.check) for item in items if item.kind == "coverage"]
    if not checks:
        return []
    dependencies, drilled = dependency_targets(checklist), drilled_faults(selected)
    judged = [(name, check.judge(check.expected_observation(dependencies, drilled))) for name, check in checks]
    return [
        msg("{item}: {effect}", item=name, effect=result.message)
        for name, result in judged
        if result.status is not Status.PASS
    ]


def _max_duration(items: list[Item], workers: int) -> float:
    """Return the maximum seconds that items take: their share of the work plus the longest dependency chain."""
    worst: dict[str, float] = {item.id: max_duration(item) for item in items}
    if workers == 1:
        return sum(worst.values())
    until: dict[str, float] = {}
    for item in DependencyQueue(items):
        until[item.id] = worst[item.id] + max((until[name] for name in item.needs if name in until), default=0.0)
    return sum(worst.values()) / workers + max(until.values())
