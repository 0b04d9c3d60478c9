"""The check `scrape_target`: Prometheus has a job as an active target, and it is up."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Annotated, ClassVar

from msgspec import Meta, field

from gate.checks._prometheus import asking
from gate.checks.base import Check, Judgement, TargetName, failed, passed
from gate.checks.world import World
from gate.matchers import Matcher, TextMatcher, describe, unlike
from gate.messages import Message, say, together
from gate.prometheus.api import ActiveTarget

_SHOWN = 20
Seen = tuple[ActiveTarget, ...]


class ScrapeTarget(Check[Seen]):
    """A job as a running Prometheus sees it."""

    kind: ClassVar[str] = "scrape_target"
    summary: ClassVar[str] = "Prometheus has a job as an active target, and it is up"

    target: Annotated[TargetName, Meta(description="The Prometheus to ask.")]
    job: Annotated[str, Meta(min_length=1, description="The job's name.", examples=["veza-backend-api"])]
    health: Annotated[Matcher, Meta(description="`up`, `down` or `unknown`: what each of its targets has to be.")] = (
        field(default_factory=lambda: Matcher("up"))
    )
    labels: Annotated[
        dict[str, TextMatcher], Meta(description="Only its targets with these labels are looked at.")
    ] = {}
    count: Annotated[Matcher | None, Meta(description="How many targets it has.", examples=[{"ge": 2}])] = None

    def asked(self, world: World) -> str:
        return f"GET {world.url(self.target, '/api/v1/targets?state=active')}: {self.job}"

    def reproduce(self, world: World) -> str:
        return shlex.join(["curl", "-sS", world.url(self.target, "/api/v1/targets?state=active")])

    def observe(self, world: World) -> Seen:
        with asking(world, self.target) as api:
            return tuple(api.targets())

    def judge(self, seen: Seen) -> Judgement:
        chosen = [target for target in seen if target.job == self.job and self._is_chosen(target)]
        answer = "\n".join(map(_line, (chosen or seen)[:_SHOWN])) or "(no active targets)"
        problems = list(self._problems(seen, chosen))
        if problems:
            return failed(together(problems), answer=answer)
        message = say("{count} active targets are {health}: {urls}", count=len(chosen), health=chosen[0].health,
                      urls=", ".join(target.url for target in chosen[:_SHOWN]))  # fmt: skip
        return passed(message, answer=answer)

    def _is_chosen(self, target: ActiveTarget) -> bool:
        return all(wish.matches(target.labels.get(name, "")) for name, wish in self.labels.items())

    def _problems(self, seen: Seen, chosen: list[ActiveTarget]) -> Iterator[Message]:
        wrong = unlike(self.count, len(chosen), say("number of targets"))
        if wrong:
            yield wrong
        if not chosen:
            jobs = sorted({target.job for target in seen})
            wishes = [say("{name} {wish}", name=name, wish=describe(wish.spec)) for name, wish in self.labels.items()]
            if wishes and self.job in jobs:
                yield say("The job {job} has no active target with {labels}", job=self.job, labels=together(wishes))
            else:
                yield say("Prometheus has no active target of job {job}; its jobs are {jobs}",
                          job=self.job, jobs=", ".join(jobs[:10]) or "-")  # fmt: skip
        for target in chosen:
            if not self.health.matches(target.health):
                yield say("{url} of {job} is {health}, expected {wanted}: {error}", url=target.url, job=self.job,
                          health=target.health or "-", wanted=describe(self.health.spec),
                          error=target.error or "-")  # fmt: skip


def _line(target: ActiveTarget) -> str:
    return f"{target.job} {target.url} {target.health} {target.error}".rstrip()
