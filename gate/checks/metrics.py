"""Check that an exposition is valid and has certain metrics, one of them with type, labels and values."""

from __future__ import annotations

import difflib
import math
import re
import shlex
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct

from gate.checks._checkout import find_files, relative_path
from gate.checks._metric_values import mismatch_of_number
from gate.checks._scrape import Scrape, scrape, scrape_file
from gate.checks.base import Check, CheckResult, TargetName, base_url, failed, passed
from gate.checks.context import CheckContext
from gate.core.messages import Message, join_messages, msg
from gate.core.override import override
from gate.core.strictness import stricter
from gate.decode.quantities import ByteSize
from gate.decode.types import LiteralTrue
from gate.matchers import CountMatcher, NumberMatcher, TextMatcher, describe, mismatch_if_set
from gate.model import CheckoutPath, Location, NonEmptyStr, SomeTexts
from gate.prometheus.exposition import Exposition, Family, Problem, Sample
from gate.redaction.secrets import redacted_head

LIMIT = 64 * 1024 * 1024
_SHOWN = 20
_NEAR = 5000


class Observation(Struct, frozen=True):
    """The exposition, and the samples of the one metric that was asked for. `path` is set for a file."""

    scrape: Scrape
    samples: tuple[Sample, ...] = ()
    path: str = ""

    @property
    def exposition(self) -> Exposition:
        """Return the exposition of the scrape."""
        return self.scrape.exposition


class Metrics(Check[Observation]):
    """An exposition, and what has to be in it."""

    kind: ClassVar[str] = "metrics"
    summary: ClassVar[str] = "an exposition is valid; metrics are there, with type, labels and values"
    expectation_keys: ClassVar[tuple[str, ...]] = ("valid", "present", "name")

    target: Annotated[TargetName | None, Meta(description="The target to scrape.", extra=stricter("never"))] = None
    path: Annotated[
        str, Meta(pattern="^/", description="Where the target exposes its metrics.", extra=stricter("never"))
    ] = "/metrics"
    file: Annotated[
        CheckoutPath | None,
        Meta(description="A file with an exposition, instead of a target.", extra=stricter("never")),
    ] = None
    valid: Annotated[
        LiteralTrue | None, Meta(description="Prometheus would take every line of it.", extra=stricter("set"))
    ] = None
    present: Annotated[
        SomeTexts | None,
        Meta(
            description="Metrics with at least one sample; `veza_*` stands for at least one whose name begins so.",
            examples=[["veza_*"]],
            extra=stricter("more"),
        ),
    ] = None
    name: Annotated[
        NonEmptyStr | None,
        Meta(description="One metric; the keys below say what it has to be.", extra=stricter("never")),
    ] = None
    type: Annotated[
        Literal["counter", "gauge", "histogram", "summary", "untyped", "unknown", "gaugehistogram", "info", "stateset"]
        | None,
        Meta(description="Its type.", extra=stricter("set")),
    ] = None
    labels: Annotated[
        dict[str, TextMatcher],
        Meta(min_length=1, description="Only its samples with these labels are looked at.", extra=stricter("never")),
    ] = {}
    value: Annotated[
        NumberMatcher | None,
        Meta(description="The value of each of its samples.", examples=[{"ge": 0}], extra=stricter("narrower")),
    ] = None
    count: Annotated[
        CountMatcher | None, Meta(description="How many samples it has.", examples=[1], extra=stricter("narrower"))
    ] = None
    fallback_scrape_protocol: Annotated[
        Literal["PrometheusText0.0.4", "PrometheusText1.0.0", "OpenMetricsText0.0.1", "OpenMetricsText1.0.0"] | None,
        Meta(
            description=(
                "That of the job that scrapes the target: how to parse a response without a usable Content-Type. "
                "Defaults to that of the checklist's `scrape_config` items."
            ),
            extra=stricter("never"),
        ),
    ] = None
    limit: Annotated[
        ByteSize, Meta(description="How large the exposition may be, decompressed.", extra=stricter("never"))
    ] = LIMIT

    def __post_init__(self) -> None:
        if (self.target is None) == (self.file is None):
            raise ValueError("expected exactly one of 'target' and 'file'")
        if self.target is None and self.fallback_scrape_protocol:
            raise ValueError("expected 'target' beside 'fallback_scrape_protocol'")
        if self.name is None and (self.type or self.labels or self.value or self.count):
            raise ValueError("expected 'name' beside 'type', 'labels', 'value' and 'count'")
        if any("*" in name[:-1] or not name.rstrip("*") for name in self.present or []):
            raise ValueError("expected names in 'present', or beginnings of names such as 'veza_*'")

    @override
    def describe(self, context: CheckContext) -> str:
        where = self.file if self.file is not None else f"GET {self._url(context)}"
        return f"{where} {self.name}" if self.name else where

    @override
    def reproduce_command(self, context: CheckContext) -> str:
        show = (
            shlex.join(["cat", self.file]) if self.file is not None else shlex.join(["curl", "-sS", self._url(context)])
        )
        if self.name or self.present:
            names = [self.name] if self.name else [name.removesuffix("*") for name in self.present or []]
            return f"{show} | grep -E {shlex.quote('^(' + '|'.join(map(re.escape, filter(None, names))) + ')')}"
        return f"{show} | promtool check metrics"

    def _url(self, context: CheckContext) -> str:
        assert self.target is not None
        return context.url(self.target, self.path)

    @override
    def observe(self, context: CheckContext) -> Observation:
        scrape, path = self._scraped(context)
        family = scrape.exposition.find_family(self.name) if self.name else None
        if family is None:
            return Observation(scrape, path=path)
        name = self.name

        def wanted(sample: str) -> bool:
            return sample == name or (family.name == name and name not in family.names)

        return Observation(scrape, tuple(scrape.samples(family, wanted)), path)

    def _scraped(self, context: CheckContext) -> tuple[Scrape, str]:
        if self.target is not None:
            base_url(context, self.target)
            return scrape(context, self.target, self.path, self.limit, self.fallback_scrape_protocol or ""), ""
        assert self.file is not None
        paths = find_files(context, self.file)
        if len(paths) != 1:
            return Scrape(failure=msg("{path} is not there, or not one file", path=self.file)), self.file
        name = relative_path(paths[0], context.root.resolve())
        return scrape_file(context, paths[0], name, self.limit), name

    @override
    def judge(self, observation: Observation) -> CheckResult:
        scrape = observation.scrape
        if scrape.failure is not None:
            return failed(scrape.failure)
        if scrape.status != 200:
            message = msg("Answered {status}, expected 200 and an exposition", status=scrape.status)
            return failed(message, response=scrape.head)
        problems = list(self._problems(observation))
        if problems:
            return failed(
                join_messages(problems), response=self._answer(observation), locations=self._locations(observation)
            )
        return passed(self._proof(observation), response=self._answer(observation))

    def _problems(self, observation: Observation) -> Iterator[Message]:
        exposition = observation.exposition
        if self.valid:
            yield from _validity(observation)
        for name in self.present or []:
            if not _is_present(exposition, name):
                yield _absent(exposition, name)
        if self.name:
            family = exposition.find_family(self.name)
            if family is None:
                yield _absent(exposition, self.name)
            else:
                yield from self._of_one(family, observation.samples)

    def _of_one(self, family: Family, samples: tuple[Sample, ...]) -> Iterator[Message]:
        if self.type is not None and _type(family.type) != _type(self.type):
            yield msg("{name} is a {type}, expected a {wanted}",
                      name=self.name or "", type=_type(family.type), wanted=self.type)  # fmt: skip
        chosen = [sample for sample in samples if self._is_chosen(sample)]
        if self.labels and not chosen and self.count is None:
            yield msg("{name} has no sample with {labels}", name=self.name or "", labels=_describe_labels(self.labels))
        wrong = mismatch_if_set(self.count, len(chosen), msg("samples of {name}", name=self.name or ""))
        if wrong:
            yield wrong
        if chosen and self.value is None and all(math.isnan(sample.value) for sample in chosen):
            yield msg("{name} has no data: it is NaN", name=self.name or "")
        for sample in chosen:
            mismatch = mismatch_of_number(self.value, sample.value, _series(sample))
            if mismatch:
                yield mismatch

    def _is_chosen(self, sample: Sample) -> bool:
        return all(matcher.matches(sample.labels[name]) if name in sample.labels else matcher.matches("")
                   for name, matcher in self.labels.items())  # fmt: skip

    def _answer(self, observation: Observation) -> str:
        exposition = observation.exposition
        if self.name and observation.samples:
            chosen = [sample for sample in observation.samples if self._is_chosen(sample)] or list(observation.samples)
            lines = [f"{_series(sample)} {sample.value!r}" for sample in chosen[:_SHOWN]]
            return "\n".join(lines + ([f"[... {len(chosen) - _SHOWN} more ...]"] if len(chosen) > _SHOWN else []))
        if exposition.problems and self.valid:
            return "\n".join(_problem_text(problem) for problem in exposition.problems)
        if exposition.warnings and self.valid:
            return "\n".join(_problem_text(warning) for warning in exposition.warnings)
        if self.present:
            return "\n".join(_matching_names(exposition, self.present)[:_SHOWN]) or observation.scrape.head
        return observation.scrape.head

    def _locations(self, observation: Observation) -> tuple[Location, ...]:
        if not observation.path or not self.valid:
            return ()
        return tuple(
            Location(file=observation.path, line=problem.line, text=problem.text)
            for problem in observation.exposition.problems
        )

    def _proof(self, observation: Observation) -> Message:
        exposition = observation.exposition
        if self.name:
            chosen = [sample for sample in observation.samples if self._is_chosen(sample)]
            family = exposition.find_family(self.name)
            if len(chosen) == 1:
                return msg("{series} is {value}", series=_series(chosen[0]), value=repr(chosen[0].value))
            return msg("{name} is exposed as {type}, {count} samples", name=self.name, count=len(chosen),
                       type=_type(family.type if family else ""))  # fmt: skip
        if self.present:
            names = _matching_names(exposition, self.present)
            return msg("{count} of the metrics asked for are exposed: {names}", count=len(names),
                       names=", ".join(names[:_SHOWN]))  # fmt: skip
        valid = msg(
            "Valid {format}: {families} families, {samples} samples",
            format="OpenMetrics" if exposition.openmetrics else "Prometheus text",
            families=sum(1 for family in exposition.families.values() if family.samples),
            samples=exposition.samples,
        )
        if not exposition.warnings:
            return valid
        first = exposition.warnings[0]
        return msg("{valid}; line {line}: {reason}", valid=valid, line=first.line, reason=first.reason)


def _validity(observation: Observation) -> Iterator[Message]:
    exposition = observation.exposition
    if observation.scrape.refusal is not None:
        yield observation.scrape.refusal
    for problem in exposition.problems[:3]:
        yield msg("line {line}: {reason}: {text}", line=problem.line, reason=problem.reason, text=problem.text)
    more = len(exposition.problems) - 3
    if more > 0:
        yield msg("{count} more bad lines", count=more)
    if not exposition.problems and not exposition.samples:
        yield msg("no sample in the exposition")


def _problem_text(problem: Problem) -> str:
    return f"{problem.line}: {problem.text}  <- {problem.reason}"


def _is_present(exposition: Exposition, name: str) -> bool:
    return bool(_matching_names(exposition, [name]))


def _matching_names(exposition: Exposition, patterns: list[str]) -> list[str]:
    """Return the requested families that have samples, by name or prefix."""
    names: list[str] = []
    for name in patterns:
        if name.endswith("*"):
            names += [family.name for family in exposition.families.values() if _begins(family, name[:-1])]
        elif exposition.find_family(name):
            names.append(name)
    return list(dict.fromkeys(names))


def _begins(family: Family, start: str) -> bool:
    return bool(family.samples) and any(name.startswith(start) for name in (family.name, *family.names))


def _absent(exposition: Exposition, name: str) -> Message:
    if exposition.problems:
        first = exposition.problems[0]
        return msg("{name} is not exposed, as far as the exposition can be read (line {line}: {reason})",
                   name=name, line=first.line, reason=first.reason)  # fmt: skip
    near = difflib.get_close_matches(name, list(exposition.families)[:_NEAR], n=1, cutoff=0.7)
    if name.endswith("*"):
        return msg("No metric begins with {start}", start=name[:-1])
    if name in exposition.families:
        return msg("{name} is declared but has no sample", name=name)
    if near:
        return msg("{name} is not exposed; {near} is", name=name, near=near[0])
    return msg("{name} is not exposed", name=name)


def _type(name: str) -> str:
    """Return a type under its name in the text format: OpenMetrics calls `untyped` `unknown`."""
    return "untyped" if name in ("", "unknown", "untyped") else name


def _series(sample: Sample) -> str:
    inner = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
    return redacted_head(sample.name + ("{" + inner + "}" if inner else ""), 300)


def _describe_labels(labels: dict[str, TextMatcher]) -> Message:
    return join_messages(
        [msg("{name} {wish}", name=name, wish=describe(matcher.spec)) for name, matcher in labels.items()]
    )
