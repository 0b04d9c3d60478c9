"""The check `scrape_config`: a Prometheus configuration file has a job that scrapes a target."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterator
from typing import Annotated, ClassVar

from msgspec import Meta, Struct, field

from gate.checks._paths import find, shown
from gate.checks._prometheus import Version
from gate.checks.base import CannotObserve, Check, Judgement, failed, passed
from gate.checks.world import World
from gate.messages import Message, say, together
from gate.model import CheckoutPath, Location, SomeText
from gate.prometheus.config import BadConfig, Config, Job, Surroundings, read
from gate.prometheus.releases import NEWEST, Release
from gate.prometheus.tree import FILE_LIMIT
from gate.quantities import Duration, duration

_SHOWN = 5


class Seen(Struct, frozen=True):
    """The configuration, or why Prometheus would not load it. `path` is empty if there is no file."""

    path: str = ""
    config: Config = field(default_factory=Config)
    bad: BadConfig | None = None


class ScrapeConfig(Check[Seen]):
    """A file and the job that it has to have."""

    kind: ClassVar[str] = "scrape_config"
    summary: ClassVar[str] = "a Prometheus configuration file has a job that scrapes a target"

    file: Annotated[CheckoutPath, Meta(description="The prometheus.yml.", examples=["ops/prometheus/prometheus.yml"])]
    job: Annotated[str, Meta(min_length=1, description="The name of the job.", examples=["veza-backend-api"])]
    version: Annotated[
        Version | None,
        Meta(description="The version of Prometheus that loads it; the newest known without it.", examples=["3.5"]),
    ] = None
    address: Annotated[
        SomeText | None, Meta(description="An address among its static targets.", examples=["api:8080"])
    ] = None
    metrics_path: Annotated[SomeText | None, Meta(description="Its metrics path.", examples=["/metrics"])] = None
    interval: Annotated[Duration | None, Meta(description="How often it scrapes, at least.")] = None
    rules: Annotated[SomeText | None, Meta(description="An entry of `rule_files`.", examples=["alerts.yml"])] = None

    def asked(self, world: World) -> str:
        return f"{self.file}: job {self.job}"

    def reproduce(self, world: World) -> str:
        return f"grep -n -A8 {shlex.quote('job_name:.*' + self.job)} {shlex.quote(self.file)}"

    def observe(self, world: World) -> Seen:
        found = find(world, self.file)
        if not found or not found[0].is_file():
            return Seen()
        root = world.root.resolve()
        path = shown(found[0], root)
        try:
            with found[0].open("rb") as file:
                raw = file.read(FILE_LIMIT)
            return Seen(path, read(raw, Release(self.version or NEWEST), Surroundings(found[0].parent, root)))
        except BadConfig as bad:
            return Seen(path, bad=bad)
        except OSError as error:
            raise CannotObserve(say("{path} can't be read: {why}", path=path, why=error.strerror or "")) from error

    def judge(self, seen: Seen) -> Judgement:
        if not seen.path:
            return failed(say("{path} does not exist", path=self.file))
        if seen.bad is not None:
            where = Location(file=seen.bad.file or seen.path, line=seen.bad.line, column=seen.bad.column)
            return failed(say("{place}: {reason}", place=str(where), reason=seen.bad.reason), locations=(where,))
        job = next((job for job in seen.config.jobs if job.name == self.job), None)
        if job is None:
            return failed(self._no_job(seen.config), answer=_shown(seen.config), locations=(Location(file=seen.path),))
        where = Location(file=job.file or seen.path, line=job.line, text=f"job_name: {job.name}")
        problems = list(self._problems(job, seen.config))
        if problems:
            return failed(together(problems), answer=_shown(seen.config), locations=(where,))
        addresses = ", ".join((*job.addresses, *job.discovery)) or "-"
        proof = say("{place}: the job {job} scrapes {path} of {addresses}",
                    place=str(where), job=job.name, path=job.metrics_path, addresses=addresses)  # fmt: skip
        if seen.config.unseen:
            proof = say("{proof}; outside of the checkout, and not looked at: {files}", proof=proof,
                        files=", ".join(seen.config.unseen[:_SHOWN]))  # fmt: skip
        return passed(proof, answer=_shown(seen.config), locations=(where,))

    def _no_job(self, config: Config) -> Message:
        names = [job.name for job in config.jobs]
        if not names:
            return say("{file} has no scrape_configs", file=self.file)
        near = difflib.get_close_matches(self.job, names, n=1)
        return say("{file} has no job {job}; it has {names}",
                   file=self.file, job=self.job, names=", ".join(near or names[:10]))  # fmt: skip

    def _problems(self, job: Job, config: Config) -> Iterator[Message]:
        if not job.addresses and not job.discovery:
            yield say("The job {job} has no targets", job=job.name)
        if self.address is not None and self.address not in job.addresses:
            yield say("The job {job} does not scrape {address}, but {addresses}", job=job.name, address=self.address,
                      addresses=", ".join((*job.addresses, *job.discovery)) or "-")  # fmt: skip
        if self.metrics_path is not None and self.metrics_path != job.metrics_path:
            yield say("The job {job} scrapes {path}, expected {wanted}",
                      job=job.name, path=job.metrics_path, wanted=self.metrics_path)  # fmt: skip
        if self.interval is not None and job.interval > self.interval:
            yield say("The job {job} scrapes every {interval}, expected every {wanted} at least", job=job.name,
                      interval=duration(job.interval), wanted=duration(self.interval))  # fmt: skip
        if self.rules is not None and self.rules not in config.rule_files:
            yield say("{rules} is not in rule_files, which has {files}",
                      rules=self.rules, files=", ".join(config.rule_files) or "-")  # fmt: skip


def _shown(config: Config) -> str:
    lines = [
        f"{job.line}: {job.name}: {job.scheme}://{{{', '.join((*job.addresses, *job.discovery))}}}{job.metrics_path}"
        for job in config.jobs
    ]
    return "\n".join([*lines, f"rule_files: {', '.join(config.rule_files)}"])
