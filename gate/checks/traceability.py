"""The check `traceability`: for each alert, the chain from its rule to a runbook that somebody has filled in.

The links, in order: rule file, loaded and healthy, the metrics of its expression exposed, seen firing in a drill of
this run, `runbook` annotation, the runbook is there, its sections are filled in (DESIGN, section 5).
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from gate.checks._paths import CheckoutPath, find, shown
from gate.checks._prometheus import ReadFile, asking, exposed, no_files, rule_files
from gate.checks._runbooks import RunbookWish
from gate.checks.base import Check, Judgement, TargetName, failed, passed
from gate.checks.document import Document
from gate.checks.world import World
from gate.messages import Message, say, together
from gate.model import Location, Row, Status
from gate.prometheus.api import Api, LoadedRule
from gate.prometheus.rules import Rule

Link = Literal["loaded", "exposed", "fired", "annotation", "runbook", "sections"]
_LINKS: tuple[Link, ...] = ("loaded", "exposed", "fired", "annotation", "runbook", "sections")
_SHOWN = 20
_SHORTEST = 60


def _percent(value: Any) -> Any:
    text = str(value).removesuffix("%") if isinstance(value, str) and value.endswith("%") else ""
    if not text.isdigit() or not 0 < int(text) <= 100:
        raise PydanticCustomError("percent", "expected a share such as 100%")
    return int(text)


Percent = Annotated[int, BeforeValidator(_percent), WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,3}%$"})]


@dataclass(frozen=True)
class Chain:
    """One alert: where its rule stands, its severity, and the first broken link, None where all hold."""

    name: str
    severity: str
    place: Location
    broken: Mapping[Link, Message]

    def first(self, links: tuple[Link, ...]) -> Message | None:
        """The first broken one of some links."""
        return next((self.broken[link] for link in _LINKS if link in links and link in self.broken), None)


@dataclass(frozen=True)
class Seen:
    """The chains of all alerts, runbooks that no alert leads to, and the glob where no file matches it."""

    chains: tuple[Chain, ...]
    orphans: tuple[str, ...]


class Traceability(Check[Seen]):
    """From the rule of an alert to its runbook."""

    kind: ClassVar[str] = "traceability"
    summary: ClassVar[str] = "each alert: loaded, its metrics exposed, seen firing in a drill, its runbook filled in"
    phase: ClassVar[Literal["main", "drill", "after"]] = "after"
    time_limit: ClassVar[float | None] = 60.0

    target: TargetName = Field(description="The Prometheus to ask.")
    file: CheckoutPath = Field(description="The rule file, or a glob.")
    links: list[Link] = Field(
        ["loaded", "exposed", "annotation", "runbook", "sections"],
        min_length=1,
        description="The links that have to hold for every alert.",
    )
    fired: dict[str, Percent] = Field(
        {},
        description="How many alerts of a severity have to have been seen firing in a drill.",
        examples=[{"critical": "100%"}],
    )
    severity: str = Field("severity", description="The label that says the severity of an alert.")
    runbook: RunbookWish = Field(RunbookWish(), description="How a runbook annotation leads to a file.")
    sections: list[str] = Field([], description="Headings that a runbook has to have, each with text under it.")
    runbooks: CheckoutPath | None = Field(None, description="A glob of all runbooks: an alert has to lead to each.")

    def asked(self, world: World) -> str:
        return f"the alerts of {self.file} on {world.url(self.target)}"

    def reproduce(self, world: World) -> str:
        return shlex.join(["curl", "-sS", world.url(self.target, "/api/v1/rules?type=alert")])

    def observe(self, world: World) -> Seen:
        files = rule_files(world, self.file)
        with asking(world, self.target) as api:
            loaded = {rule.name: rule for group in api.rules() for rule in group.rules if rule.alerting}
            names = {name for file in files for rule in file.content.alerts for name in rule.metrics}
            there, fired = exposed(api, names), _fired(api, world)
        chains, linked = [], set()
        for file in files:
            for rule in file.content.alerts:
                broken = dict(self._broken(rule, loaded.get(rule.name), there, fired, world))
                chains.append(self._chain(file, rule, broken))
                linked |= self._linked(rule, world)
        return Seen(tuple(chains), tuple(self._orphans(linked, world)))

    def _chain(self, file: ReadFile, rule: Rule, broken: dict[Link, Message]) -> Chain:
        return Chain(rule.name, rule.labels.get(self.severity, ""), file.at(rule.line), broken)

    def _broken(
        self, rule: Rule, loaded: LoadedRule | None, there: set[str], fired: set[str], world: World
    ) -> Iterator[tuple[Link, Message]]:
        if loaded is None:
            yield "loaded", say("it is not loaded")
        elif loaded.health != "ok":
            yield "loaded", say("it is loaded and not healthy: {why}", why=loaded.error or loaded.health)
        missing = [name for name in rule.metrics if name not in there]
        if missing:
            yield "exposed", say("nobody exposes {metrics}", metrics=", ".join(missing))
        if rule.name not in fired:
            yield "fired", say("it was not seen firing in a drill")
        yield from self._runbook_broken(rule, world)

    def _runbook_broken(self, rule: Rule, world: World) -> Iterator[tuple[Link, Message]]:
        name = self.runbook.annotation_of(rule)
        if name is None:
            yield "annotation", say("it has no runbook annotation")
            return
        path = self.runbook.file_of(world, rule.annotations[name])
        if isinstance(path, Message):
            yield "runbook", path
        elif self.sections:
            document = Document.model_validate({"file": shown(path, world.root.resolve()), "sections": self.sections})
            judged = document.judge(document.observe(world))
            if judged.status is not Status.PASS:
                yield "sections", judged.message

    def _linked(self, rule: Rule, world: World) -> set[str]:
        name = self.runbook.annotation_of(rule)
        path = self.runbook.file_of(world, rule.annotations[name]) if name else None
        return set() if path is None or isinstance(path, Message) else {str(path)}

    def _orphans(self, linked: set[str], world: World) -> Iterator[str]:
        for path in find(world, self.runbooks) if self.runbooks else []:
            if str(path) not in linked:
                yield shown(path, world.root.resolve())

    def judge(self, seen: Seen) -> Judgement:
        links = tuple(self.links)
        evidence: dict[str, Any] = {"rows": tuple(map(_row, seen.chains)), "answer": _table(seen)}
        if not seen.chains:
            return failed(no_files(self.file), **evidence)
        broken = [(chain, why) for chain in seen.chains if (why := chain.first(links))]
        problems = [say("{alert}: {why}", alert=chain.name, why=why) for chain, why in broken]
        problems += [*self._coverage(seen), *(say("no alert leads to {path}", path=path) for path in seen.orphans)]
        if problems:
            places = tuple(chain.place for chain, _ in broken[:_SHOWN])
            return failed(together(problems), locations=places, **evidence)
        count = sum("fired" not in chain.broken for chain in seen.chains)
        message = say("{count} alerts, no link broken; {fired} seen firing", count=len(seen.chains), fired=count)
        return passed(message, **evidence)

    def _coverage(self, seen: Seen) -> Iterator[Message]:
        for severity, least in self.fired.items():
            mine = [chain for chain in seen.chains if chain.severity == severity]
            fired = sum("fired" not in chain.broken for chain in mine)
            if not mine or 100 * fired < least * len(mine):
                yield say(
                    "{fired} of {count} {severity} alerts were seen firing, expected {least} %",
                    fired=fired,
                    count=len(mine),
                    severity=severity,
                    least=least,
                )


def _fired(api: Api, world: World) -> set[str]:
    """The alerts that a drill of this run has noticed, and that Prometheus had firing meanwhile."""
    outcomes = [item.outcome for item in world.results.values() if item.check == "drill"]
    moments = [moment for outcome in outcomes if outcome.timeline for moment in outcome.timeline.moments]
    noticed = {str(moment.what.args["alert"]) for moment in moments if "alert" in moment.what.args}
    if not noticed:
        return set()
    window = max(_SHORTEST, int(time.monotonic() - world.began) + 1)
    fired = api.query(f'max by (alertname) (max_over_time(ALERTS{{alertstate="firing"}}[{window}s]))')
    return noticed & {series.labels.get("alertname", "") for series in fired}


def _row(chain: Chain) -> Row:
    why = chain.first(_LINKS)
    status = Status.PASS if why is None else Status.FAIL
    return Row(
        title=say("{alert}", alert=chain.name), status=status, message=why or say("no link is broken"), phase="alert"
    )


def _table(seen: Seen) -> str:
    """A line for each alert, a mark for each link."""
    lines = ["severity   " + " ".join(f"{link:<10}" for link in _LINKS) + " alert"]
    for chain in seen.chains:
        marks = " ".join(f"{'no' if link in chain.broken else 'yes':<10}" for link in _LINKS)
        lines.append(f"{chain.severity or '-':<10} {marks} {chain.name}")
    return "\n".join([*lines, *(f"no alert leads to {path}" for path in seen.orphans)])
