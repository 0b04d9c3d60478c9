"""How the checks ask a running Prometheus: once for all that ask the same at one time, and an ERROR where it can't."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from gate.checks.base import CannotObserve
from gate.checks.world import World
from gate.messages import say
from gate.prometheus import api


def ask_prometheus(world: World, target: str, path: str, parameters: Mapping[str, str] | None = None) -> Any:
    """The `data` of an answer. Raises CannotObserve."""
    staged = world.targets[target]
    if not staged.base_url:
        why = staged.why_not or say("the checklist gives it none")
        raise CannotObserve(say("{target} has no URL: {why}", target=target, why=why))
    key = ("prometheus", staged.base_url, path, tuple(sorted((parameters or {}).items())))
    try:
        return world.memo.get(
            key,
            lambda: api.get(staged.base_url, path, world.deadline, parameters),
            not_before=world.fresh,
            remaining=world.remaining(),
        )
    except api.NoAnswer as error:
        raise CannotObserve(error.message, answer=error.answer) from error


def by_hand(world: World, target: str, path: str, parameters: Mapping[str, str] | None = None) -> str:
    """The same question with curl."""
    words = ["curl", "-sS"]
    if parameters:
        words.append("-G")
        for name, value in parameters.items():
            words += ["--data-urlencode", f"{name}={value}"]
    return shlex.join([*words, world.url(target, f"/api/v1/{path}")])
