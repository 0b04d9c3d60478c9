"""The check `scrape_target`: a running Prometheus has a job among its active targets, and scrapes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import Field

from gate.checks._prometheus import ask_prometheus, by_hand
from gate.checks.base import Check, Judgement, TargetName, failed, passed
from gate.checks.world import World
from gate.matchers import Matcher
from gate.messages import say
from gate.prometheus.api import objects

_PATH = "targets"
_ACTIVE = {"state": "active"}


@dataclass(frozen=True)
class Scraped:
    """One active target. `health` is up, down or unknown; `error` what the last scrape failed with."""

    job: str
    url: str
    health: str
    error: str


class ScrapeTarget(Check[tuple[Scraped, ...]]):
    """Whether a job is scraped, and its targets are up."""

    kind: ClassVar[str] = "scrape_target"
    summary: ClassVar[str] = "Prometheus has that job as an active target, up"

    target: TargetName = Field(description="The Prometheus to ask.")
    job: str = Field(min_length=1, description="The name of the job.")
    health: Matcher = Field(Matcher("up"), description="`up`, `down` or `unknown`: what each of its targets has to be.")
    count: Matcher | None = Field(None, description="How many targets it has to have; at least one without it.")

    def asked(self, world: World) -> str:
        return f"active targets of job {self.job} on {world.url(self.target)}"

    def reproduce(self, world: World) -> str:
        return by_hand(world, self.target, _PATH, _ACTIVE)

    def observe(self, world: World) -> tuple[Scraped, ...]:
        data = ask_prometheus(world, self.target, _PATH, _ACTIVE)
        return tuple(_scraped(entry) for entry in objects(data, "activeTargets"))

    def judge(self, seen: tuple[Scraped, ...]) -> Judgement:
        mine = [entry for entry in seen if entry.job == self.job]
        answer = "\n".join(f"{entry.health} {entry.url} {entry.error}".rstrip() for entry in mine)
        if not mine:
            jobs = ", ".join(sorted({entry.job for entry in seen})) or "none"
            return failed(say("No active target has the job {job}; there are: {jobs}", job=self.job, jobs=jobs))
        down = [entry for entry in mine if not self.health.matches(entry.health)]
        if down:
            first = down[0]
            message = say("{url} is {health}: {error}", url=first.url, health=first.health, error=first.error or "-")
            return failed(message, answer=answer)
        mismatch = self.count.mismatch(len(mine)) if self.count else None
        if mismatch:
            return failed(say("number of targets: {why}", why=mismatch), answer=answer)
        first = mine[0]
        message = say("{count} active targets are {health}: {url}", count=len(mine), health=first.health, url=first.url)
        return passed(message, answer=answer)


def _scraped(entry: dict[str, Any]) -> Scraped:
    labels = entry.get("labels") if isinstance(entry.get("labels"), dict) else {}
    job = str((labels or {}).get("job") or entry.get("scrapePool", ""))
    return Scraped(job, str(entry.get("scrapeUrl", "")), str(entry.get("health", "")), str(entry.get("lastError", "")))
