"""Check that a Prometheus configuration file has a job that scrapes a target."""

from __future__ import annotations

import difflib
import os
import shlex
from collections.abc import Iterator
from typing import Annotated, ClassVar

from msgspec import Meta, Struct, field

from gate.checks._checkout import find_files, relative_path
from gate.checks._promtool import Judge, find_edition, judge_config, with_judge
from gate.checks.base import Check, CheckResult, ObservationError, failed, passed
from gate.checks.context import CheckContext
from gate.checks.prometheus_queries import FlagsKey, LoaderKey, VersionKey
from gate.core.messages import Message, join_messages, msg
from gate.core.override import override
from gate.core.strictness import stricter
from gate.decode.quantities import DurationSeconds, format_duration
from gate.model import CheckoutPath, Location, NonEmptyStr
from gate.prometheus.config import (
    Config,
    InvalidConfigError,
    Job,
    Surroundings,
    named_files,
    parse_config,
    parse_service_monitors,
    read_start,
    service_monitors_text,
)
from gate.prometheus.releases import Release
from gate.prometheus.yaml_tree import FILE_LIMIT

_SHOWN = 5


class Observation(Struct, frozen=True):
    """The configuration, or why Prometheus would not load it. `path` is empty if there is no file."""

    path: str = ""
    config: Config = field(default_factory=Config)
    bad: InvalidConfigError | None = None
    judge: Message | None = None


class ScrapeConfig(Check[Observation]):
    """A file and the job that it has to have."""

    kind: ClassVar[str] = "scrape_config"
    summary: ClassVar[str] = "a Prometheus configuration file has a job that scrapes a target"
    time_limit: ClassVar[float | None] = 60.0

    file: Annotated[
        CheckoutPath,
        Meta(description="The prometheus.yml.", examples=["ops/prometheus/prometheus.yml"], extra=stricter("never")),
    ]
    job: Annotated[
        str,
        Meta(min_length=1, description="The name of the job.", examples=["veza-backend-api"], extra=stricter("never")),
    ]
    version: VersionKey = None
    flags: FlagsKey = None
    target: LoaderKey = None
    address: Annotated[
        NonEmptyStr | None,
        Meta(description="An address among its static targets.", examples=["api:8080"], extra=stricter("set")),
    ] = None
    metrics_path: Annotated[
        NonEmptyStr | None, Meta(description="Its metrics path.", examples=["/metrics"], extra=stricter("set"))
    ] = None
    interval: Annotated[
        DurationSeconds | None, Meta(description="How often it scrapes, at least.", extra=stricter("set", "lower"))
    ] = None
    rules: Annotated[
        NonEmptyStr | None,
        Meta(description="An entry of `rule_files`.", examples=["alerts.yml"], extra=stricter("set")),
    ] = None

    @override
    def describe(self, context: CheckContext) -> str:
        return f"{self.file}: job {self.job}"

    @override
    def reproduce_command(self, context: CheckContext) -> str:
        return f"grep -n -A8 {shlex.quote('job_name:.*' + self.job)} {shlex.quote(self.file)}"

    @override
    def observe(self, context: CheckContext) -> Observation:
        paths = find_files(context, self.file)
        if not paths or not paths[0].is_file():
            return Observation()
        edition = find_edition(context, self.version, self.flags, self.target)
        root = context.root.resolve()
        path = relative_path(paths[0], root)
        try:
            with paths[0].open("rb") as file:
                raw = file.read(FILE_LIMIT)
        except OSError as error:
            raise ObservationError(msg("{path} can't be read: {why}", path=path, why=error.strerror or "")) from error
        surroundings = Surroundings(paths[0].parent, root)
        manifest = service_monitors_text(raw)
        files, outside = _with_named_files(path, raw, surroundings) if manifest is None else ({path: manifest}, ())
        judge = judge_config(context, edition, path, files, outside)
        refusal = (judge.refusals or {}).get(path)
        config, bad = _parsed(raw, edition.release, surroundings)
        if judge.refusals is not None and bad is not None and refusal is None and manifest is None:
            # Promtool takes it, so it is valid: read it as far as possible. In its files, it may not have looked.
            if not judge.syntax_only or _parsed(raw, edition.release, None)[1] is not None:
                config, bad = _parsed(raw, edition.release, surroundings, lenient=True)
        elif bad is not None and refusal is None:
            judge = Judge(edition.reader)
        elif refusal is not None and bad is None:
            bad = InvalidConfigError(msg("{reason}", reason=refusal.reason), refusal.line, refusal.column, refusal.file)
        return Observation(path, config, bad, judge.name)

    @override
    def judge(self, observation: Observation) -> CheckResult:
        if not observation.path:
            return failed(msg("{path} does not exist", path=self.file))
        if observation.bad is not None:
            where = Location(
                file=observation.bad.file or observation.path, line=observation.bad.line, column=observation.bad.column
            )
            reason = msg("{place}: {reason}", place=str(where), reason=observation.bad.message)
            return failed(with_judge(reason, observation.judge), locations=(where,))
        jobs = [job for job in observation.config.jobs if self.job in (job.name, job.monitor)]
        # A ServiceMonitor has a job for each endpoint: the one that fits best is judged.
        job = min(jobs, key=lambda each: len(list(self._problems(each, observation.config))), default=None)
        if job is None:
            return failed(
                self._no_job(observation.config),
                response=_shown(observation.config),
                locations=(Location(file=observation.path),),
            )
        where = Location(file=job.file or observation.path, line=job.line, text=f"job_name: {job.name}")
        problems = list(self._problems(job, observation.config))
        if problems:
            return failed(join_messages(problems), response=_shown(observation.config), locations=(where,))
        addresses = ", ".join((*job.addresses, *job.discovery)) or "-"
        proof = msg("{place}: the job {job} scrapes {path} of {addresses}",
                    place=str(where), job=job.name, path=job.metrics_path, addresses=addresses)  # fmt: skip
        if observation.config.unseen:
            proof = msg("{proof}; outside of the checkout, and not looked at: {files}", proof=proof,
                        files=", ".join(observation.config.unseen[:_SHOWN]))  # fmt: skip
        return passed(with_judge(proof, observation.judge), response=_shown(observation.config), locations=(where,))

    def _no_job(self, config: Config) -> Message:
        names = [job.name for job in config.jobs]
        if not names:
            return msg("{file} has no scrape_configs", file=self.file)
        near = difflib.get_close_matches(self.job, names, n=1)
        return msg("{file} has no job {job}; it has {names}",
                   file=self.file, job=self.job, names=", ".join(near or names[:10]))  # fmt: skip

    def _problems(self, job: Job, config: Config) -> Iterator[Message]:
        if not job.addresses and not job.discovery:
            yield msg("The job {job} has no targets", job=job.name)
        if self.address is not None and self.address not in job.addresses:
            yield msg("The job {job} does not scrape {address}, but {addresses}", job=job.name, address=self.address,
                      addresses=", ".join((*job.addresses, *job.discovery)) or "-")  # fmt: skip
        if self.metrics_path is not None and self.metrics_path != job.metrics_path:
            yield msg("The job {job} scrapes {path}, expected {wanted}",
                      job=job.name, path=job.metrics_path, wanted=self.metrics_path)  # fmt: skip
        if self.interval is not None and not job.own_interval:
            yield msg("The job {job} has no interval of its own, expected every {wanted} at least", job=job.name,
                      wanted=format_duration(self.interval))  # fmt: skip
        elif self.interval is not None and job.interval > self.interval:
            yield msg("The job {job} scrapes every {interval}, expected every {wanted} at least", job=job.name,
                      interval=format_duration(job.interval), wanted=format_duration(self.interval))  # fmt: skip
        if self.rules is not None and self.rules not in config.rule_files:
            yield msg("{rules} is not in rule_files, which has {files}",
                      rules=self.rules, files=", ".join(config.rule_files) or "-")  # fmt: skip


def _with_named_files(path: str, raw: bytes, surroundings: Surroundings) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """Return a configuration and the files of the checkout that it names, by their paths, and names that lead out."""
    named = named_files(raw, surroundings)
    files = {path: raw}
    for each in named.files:
        name = os.path.relpath(each, surroundings.root)
        if not name.startswith(".."):
            files.setdefault(name, read_start(each))
    return files, named.outside


def _parsed(
    raw: bytes, release: Release, surroundings: Surroundings | None, *, lenient: bool = False
) -> tuple[Config, InvalidConfigError | None]:
    try:
        monitors = parse_service_monitors(raw, release)
        return monitors or parse_config(raw, release, surroundings, lenient=lenient), None
    except InvalidConfigError as bad:
        return Config(), bad


def _shown(config: Config) -> str:
    lines = [
        f"{job.line}: {job.name}: {job.scheme}://{{{', '.join((*job.addresses, *job.discovery))}}}{job.metrics_path}"
        for job in config.jobs
    ]
    return "\n".join([*lines, f"rule_files: {', '.join(config.rule_files)}"])
