"""The check `metrics`: an exposition is valid, has certain metrics, and one of them has a type, labels and values."""

from __future__ import annotations

import difflib
import math
import re
import shlex
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct

from gate.checks._numbers import number_unlike
from gate.checks._paths import find, shown
from gate.checks._scrape import Scrape, scrape, scrape_file
from gate.checks.base import Check, Judgement, TargetName, base_url, failed, passed
from gate.checks.world import World
from gate.forms import OnlyTrue
from gate.matchers import CountMatcher, NumberMatcher, TextMatcher, describe, unlike
from gate.messages import Message, say, together
from gate.model import CheckoutPath, Location, SomeText, SomeTexts
from gate.prometheus.exposition import Exposition, Family, Problem, Sample
from gate.quantities import Size
from gate.secrets import beginning_of

LIMIT = 64 * 1024 * 1024
_SHOWN = 20
_NEAR = 5000


class Seen(Struct, frozen=True):
    """The exposition, and the samples of the one metric that was asked for. `path` is set for a file."""

    scrape: Scrape
    samples: tuple[Sample, ...] = ()
    path: str = ""

    @property
    def exposition(self) -> Exposition:
        return self.scrape.exposition


class Metrics(Check[Seen]):
    """An exposition, and what has to be in it."""

    kind: ClassVar[str] = "metrics"
    summary: ClassVar[str] = "an exposition is valid; metrics are there, with type, labels and values"
    expects: ClassVar[tuple[str, ...]] = ("valid", "present", "name")

    target: Annotated[TargetName | None, Meta(description="The target to scrape.")] = None
    path: Annotated[str, Meta(pattern="^/", description="Where the target exposes its metrics.")] = "/metrics"
    file: Annotated[CheckoutPath | None, Meta(description="A file with an exposition, instead of a target.")] = None
    valid: Annotated[OnlyTrue | None, Meta(description="Prometheus would take every line of it.")] = None
    present: Annotated[
        SomeTexts | None,
        Meta(
            description="Metrics with at least one sample; `veza_*` stands for at least one whose name begins so.",
            examples=[["veza_*"]],
        ),
    ] = None
    name: Annotated[SomeText | None, Meta(description="One metric; the keys below say what it has to be.")] = None
    type: Annotated[
        Literal["counter", "gauge", "histogram", "summary", "untyped", "unknown", "gaugehistogram", "info", "stateset"]
        | None,
        Meta(description="Its type."),
    ] = None
    labels: Annotated[
        dict[str, TextMatcher], Meta(min_length=1, description="Only its samples with these labels are looked at.")
    ] = {}
    value: Annotated[
        NumberMatcher | None, Meta(description="The value of each of its samples.", examples=[{"ge": 0}])
    ] = None
    count: Annotated[CountMatcher | None, Meta(description="How many samples it has.", examples=[1])] = None
    fallback_scrape_protocol: Annotated[
        Literal["PrometheusText0.0.4", "PrometheusText1.0.0", "OpenMetricsText0.0.1", "OpenMetricsText1.0.0"] | None,
        Meta(
            description=(
                "That of the job that scrapes the target: how to parse a response without a usable Content-Type. "
                "Defaults to that of the checklist's `scrape_config` items."
            )
        ),
    ] = None
    limit: Annotated[Size, Meta(description="How large the exposition may be, decompressed.")] = LIMIT

    def __post_init__(self) -> None:
        if (self.target is None) == (self.file is None):
            raise ValueError("expected exactly one of 'target' and 'file'")
        if self.target is None and self.fallback_scrape_protocol:
            raise ValueError("expected 'target' beside 'fallback_scrape_protocol'")
        if self.name is None and (self.type or self.labels or self.value or self.count):
            raise ValueError("expected 'name' beside 'type', 'labels', 'value' and 'count'")
        if any("*" in name[:-1] or not name.rstrip("*") for name in self.present or []):
            raise ValueError("expected names in 'present', or beginnings of names such as 'veza_*'")

    def asked(self, world: World) -> str:
        where = self.file if self.file is not None else f"GET {self._url(world)}"
        return f"{where} {self.name}" if self.name else where

    def reproduce(self, world: World) -> str:
        show = (
            shlex.join(["cat", self.file]) if self.file is not None else shlex.join(["curl", "-sS", self._url(world)])
        )
        if self.name or self.present:
            names = [self.name] if self.name else [name.removesuffix("*") for name in self.present or []]
            return f"{show} | grep -E {shlex.quote('^(' + '|'.join(map(re.escape, filter(None, names))) + ')')}"
        return f"{show} | promtool check metrics"

    def _url(self, world: World) -> str:
        assert self.target is not None
        return world.url(self.target, self.path)

    def observe(self, world: World) -> Seen:
        made, path = self._scraped(world)
        family = made.exposition.named(self.name) if self.name else None
        if family is None:
            return Seen(made, path=path)
        name = self.name

        def wanted(sample: str) -> bool:
            return sample == name or (family.name == name and name not in family.names)

        return Seen(made, tuple(made.samples(family, wanted)), path)

    def _scraped(self, world: World) -> tuple[Scrape, str]:
        if self.target is not None:
            base_url(world, self.target)
            return scrape(world, self.target, self.path, self.limit, self.fallback_scrape_protocol or ""), ""
        assert self.file is not None
        found = find(world, self.file)
        if len(found) != 1:
            return Scrape(failure=say("{path} is not there, or not one file", path=self.file)), self.file
        name = shown(found[0], world.root.resolve())
        return scrape_file(world, found[0], name, self.limit), name

    def judge(self, seen: Seen) -> Judgement:
        made = seen.scrape
        if made.failure is not None:
            return failed(made.failure)
        if made.status != 200:
            message = say("Answered {status}, expected 200 and an exposition", status=made.status)
            return failed(message, answer=made.head)
        problems = list(self._problems(seen))
        if problems:
            return failed(together(problems), answer=self._answer(seen), locations=self._locations(seen))
        return passed(self._proof(seen), answer=self._answer(seen))

    def _problems(self, seen: Seen) -> Iterator[Message]:
        exposition = seen.exposition
        if self.valid:
            yield from _validity(seen)
        for name in self.present or []:
            if not _is_present(exposition, name):
                yield _absent(exposition, name)
        if self.name:
            family = exposition.named(self.name)
            if family is None:
                yield _absent(exposition, self.name)
            else:
                yield from self._of_one(family, seen.samples)

    def _of_one(self, family: Family, samples: tuple[Sample, ...]) -> Iterator[Message]:
        if self.type is not None and _type(family.type) != _type(self.type):
            yield say("{name} is a {type}, expected a {wanted}",
                      name=self.name or "", type=_type(family.type), wanted=self.type)  # fmt: skip
        chosen = [sample for sample in samples if self._is_chosen(sample)]
        if self.labels and not chosen and self.count is None:
            yield say("{name} has no sample with {labels}", name=self.name or "", labels=_labels_asked(self.labels))
        wrong = unlike(self.count, len(chosen), say("samples of {name}", name=self.name or ""))
        if wrong:
            yield wrong
        if chosen and self.value is None and all(math.isnan(sample.value) for sample in chosen):
            yield say("{name} has no data: it is NaN", name=self.name or "")
        for sample in chosen:
            found = number_unlike(self.value, sample.value, _series(sample))
            if found:
                yield found

    def _is_chosen(self, sample: Sample) -> bool:
        return all(wish.matches(sample.labels[name]) if name in sample.labels else wish.matches("")
                   for name, wish in self.labels.items())  # fmt: skip

    def _answer(self, seen: Seen) -> str:
        exposition = seen.exposition
        if self.name and seen.samples:
            chosen = [sample for sample in seen.samples if self._is_chosen(sample)] or list(seen.samples)
            lines = [f"{_series(sample)} {sample.value!r}" for sample in chosen[:_SHOWN]]
            return "\n".join(lines + ([f"[... {len(chosen) - _SHOWN} more ...]"] if len(chosen) > _SHOWN else []))
        if exposition.problems and self.valid:
            return "\n".join(_problem_text(problem) for problem in exposition.problems)
        if exposition.warnings and self.valid:
            return "\n".join(_problem_text(warning) for warning in exposition.warnings)
        if self.present:
            return "\n".join(_found_names(exposition, self.present)[:_SHOWN]) or seen.scrape.head
        return seen.scrape.head

    def _locations(self, seen: Seen) -> tuple[Location, ...]:
        if not seen.path or not self.valid:
            return ()
        return tuple(
            Location(file=seen.path, line=problem.line, text=problem.text) for problem in seen.exposition.problems
        )

    def _proof(self, seen: Seen) -> Message:
        exposition = seen.exposition
        if self.name:
            chosen = [sample for sample in seen.samples if self._is_chosen(sample)]
            family = exposition.named(self.name)
            if len(chosen) == 1:
                return say("{series} is {value}", series=_series(chosen[0]), value=repr(chosen[0].value))
            return say("{name} is exposed as {type}, {count} samples", name=self.name, count=len(chosen),
                       type=_type(family.type if family else ""))  # fmt: skip
        if self.present:
            names = _found_names(exposition, self.present)
            return say("{count} of the metrics asked for are exposed: {names}", count=len(names),
                       names=", ".join(names[:_SHOWN]))  # fmt: skip
        valid = say(
            "Valid {format}: {families} families, {samples} samples",
            format="OpenMetrics" if exposition.openmetrics else "Prometheus text",
            families=sum(1 for family in exposition.families.values() if family.samples),
            samples=exposition.samples,
        )
        if not exposition.warnings:
            return valid
        first = exposition.warnings[0]
        return say("{valid}; line {line}: {reason}", valid=valid, line=first.line, reason=first.reason)


def _validity(seen: Seen) -> Iterator[Message]:
    exposition = seen.exposition
    if seen.scrape.refusal is not None:
        yield seen.scrape.refusal
    for problem in exposition.problems[:3]:
        yield say("line {line}: {reason}: {text}", line=problem.line, reason=problem.reason, text=problem.text)
    more = len(exposition.problems) - 3
    if more > 0:
        yield say("{count} more bad lines", count=more)
    if not exposition.problems and not exposition.samples:
        yield say("There is no sample in it")


def _problem_text(problem: Problem) -> str:
    return f"{problem.line}: {problem.text}  <- {problem.reason}"


def _is_present(exposition: Exposition, name: str) -> bool:
    return bool(_found_names(exposition, [name]))


def _found_names(exposition: Exposition, wanted: list[str]) -> list[str]:
    """The families with samples that were asked for, by name or by how the name begins."""
    found: list[str] = []
    for name in wanted:
        if name.endswith("*"):
            found += [family.name for family in exposition.families.values() if _begins(family, name[:-1])]
        elif exposition.named(name):
            found.append(name)
    return list(dict.fromkeys(found))


def _begins(family: Family, start: str) -> bool:
    return bool(family.samples) and any(name.startswith(start) for name in (family.name, *family.names))


def _absent(exposition: Exposition, name: str) -> Message:
    if exposition.problems:
        first = exposition.problems[0]
        return say("{name} is not exposed, as far as the exposition can be read (line {line}: {reason})",
                   name=name, line=first.line, reason=first.reason)  # fmt: skip
    near = difflib.get_close_matches(name, list(exposition.families)[:_NEAR], n=1, cutoff=0.7)
    if name.endswith("*"):
        return say("No metric begins with {start}", start=name[:-1])
    if name in exposition.families:
        return say("{name} is declared but has no sample", name=name)
    if near:
        return say("{name} is not exposed; {near} is", name=name, near=near[0])
    return say("{name} is not exposed", name=name)


def _type(name: str) -> str:
    """The two formats have two words for a metric of no known type."""
    return "untyped" if name in ("", "unknown", "untyped") else name


def _series(sample: Sample) -> str:
    inner = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
    return beginning_of(sample.name + ("{" + inner + "}" if inner else ""), 300)


def _labels_asked(labels: dict[str, TextMatcher]) -> Message:
    return together([say("{name} {wish}", name=name, wish=describe(wish.spec)) for name, wish in labels.items()])
