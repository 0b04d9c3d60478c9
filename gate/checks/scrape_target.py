"""Check that Prometheus scrapes a job, and that it is up."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

from msgspec import Meta, field

from gate.checks.base import Check, CheckResult, TargetName, failed, passed
from gate.checks.context import CheckContext
from gate.checks.prometheus_queries import prometheus_client
from gate.core.messages import Message, join_messages, msg
from gate.core.override import override
from gate.core.strictness import stricter
from gate.decode.quantities import format_duration
from gate.matchers import CountMatcher, HealthMatcher, TextMatcher, describe, mismatch_if_set
from gate.prometheus.client import ActiveTarget

_SHOWN = 20
Observation = tuple[ActiveTarget, ...]


class ScrapeTarget(Check[Observation]):
    """A job as a running Prometheus sees it."""

    kind: ClassVar[str] = "scrape_target"
    summary: ClassVar[str] = "Prometheus has a job as an active target, and it is up"

    target: Annotated[TargetName, Meta(description="The Prometheus to ask.", extra=stricter("never"))]
    job: Annotated[
        str, Meta(min_length=1, description="The job's name.", examples=["veza-backend-api"], extra=stricter("never"))
    ]
    health: Annotated[
        HealthMatcher,
        Meta(description="`up`, `down` or `unknown`: what each of its targets has to be.", extra=stricter("narrower")),
    ] = field(default_factory=lambda: HealthMatcher("up"))
    labels: Annotated[
        dict[str, TextMatcher],
        Meta(min_length=1, description="Only its targets with these labels are looked at.", extra=stricter("never")),
    ] = {}
    count: Annotated[
        CountMatcher | None,
        Meta(description="How many targets it has.", examples=[{"ge": 2}], extra=stricter("narrower")),
    ] = None

    @override
    def describe(self, context: CheckContext) -> str:
        return f"GET {context.url(self.target, '/api/v1/targets?state=active')}: {self.job}"

    @override
    def reproduce_command(self, context: CheckContext) -> str:
        return shlex.join(["curl", "-sS", context.url(self.target, "/api/v1/targets?state=active")])

    @override
    def observe(self, context: CheckContext) -> Observation:
        with prometheus_client(context, self.target) as api:
            return tuple(api.targets())

    @override
    def judge(self, observation: Observation) -> CheckResult:
        chosen = [target for target in observation if self._is_of_job(target) and self._is_chosen(target)]
        response = "\n".join(map(_line, (chosen or observation)[:_SHOWN])) or "(no active targets)"
        problems = list(self._problems(observation, chosen))
        if problems:
            return failed(join_messages(problems), response=response)
        message = msg("{count} active targets are {health}: {urls}", count=len(chosen), health=chosen[0].health,
                      urls=", ".join(target.url for target in chosen[:_SHOWN]))  # fmt: skip
        return passed(message, response=response)

    def _is_of_job(self, target: ActiveTarget) -> bool:
        """Return whether it belongs to the job by its scrape pool or by its label, which relabelling may change.

        The Prometheus Operator names pools `serviceMonitor/namespace/name/0`, and several may have one job label.
        """
        return self.job in (target.pool, target.labels.get("job"))

    def _is_chosen(self, target: ActiveTarget) -> bool:
        return all(matcher.matches(target.labels.get(name, "")) for name, matcher in self.labels.items())

    def _problems(self, observation: Observation, chosen: list[ActiveTarget]) -> Iterator[Message]:
        wrong = mismatch_if_set(self.count, len(chosen), msg("number of targets"))
        if wrong:
            yield wrong
        if not chosen:
            jobs = sorted({target.labels.get("job") or target.pool for target in observation})
            labels = [
                msg("{name} {wish}", name=name, wish=describe(matcher.spec)) for name, matcher in self.labels.items()
            ]
            if labels and any(map(self._is_of_job, observation)):
                yield msg(
                    "The job {job} has no active target with {labels}", job=self.job, labels=join_messages(labels)
                )
            else:
                yield msg("Prometheus has no active target of job {job}; its jobs are {jobs}",
                          job=self.job, jobs=", ".join(jobs[:10]) or "-")  # fmt: skip
        for target in chosen:
            yield from self._wrong(target)

    def _wrong(self, target: ActiveTarget) -> Iterator[Message]:
        if not self.health.matches(target.health):
            yield msg("{url} of {job} is {health}, expected {wanted}: {error}", url=target.url, job=self.job,
                      health=target.health or "-", wanted=describe(self.health.spec),
                      error=target.error or "-")  # fmt: skip
        elif target.health == "unknown" and not _names_unknown(self.health.spec):
            yield msg("{url} of {job} was not scraped yet", url=target.url, job=self.job)
        elif target.overdue is not None:
            yield msg("{url} of {job} is {health}, but was last scraped {time} ago", url=target.url, job=self.job,
                      health=target.health, time=format_duration(target.overdue))  # fmt: skip


def _names_unknown(spec: Any) -> bool:
    """Return whether a matcher asks for targets that were not scraped, and does not only let them through."""
    if isinstance(spec, dict):
        return _names_unknown(spec.get("equals"))
    return "unknown" in (spec if isinstance(spec, list) else [spec])


def _line(target: ActiveTarget) -> str:
    job = target.labels.get("job") or target.pool
    return f"{job} {target.url} {target.health} {target.error}".rstrip()
