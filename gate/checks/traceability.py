"""The check `traceability`: for each alert, the chain from its rule to a runbook that somebody has filled in.

The links, in order: rule file, loaded and healthy, the metrics of its expression exposed, a unit test, seen firing in
a drill of this run, routed to a receiver, the page arrived, `runbook` annotation, the runbook is there, its sections
are filled in.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, get_args

import msgspec
from msgspec import Meta, Struct

from gate.checks._alertmanager import ReadConfig, read_config
from gate.checks._checkout import find_files, relative_path
from gate.checks._promtool import find_edition, judged_rule_files, with_judge
from gate.checks._rule_tests import read_unit_tests
from gate.checks._runbooks import RunbookRule
from gate.checks.base import (
    Check,
    CheckResult,
    ObservationError,
    TargetName,
    failed,
    passed,
    require_target,
)
from gate.checks.context import CheckContext
from gate.checks.document import Document
from gate.checks.loaded_rules import differences, namesakes
from gate.checks.prometheus_queries import (
    FlagsKey,
    Formatted,
    Presence,
    ReadFile,
    VersionKey,
    no_match_message,
    prometheus_client,
)
from gate.core.messages import Message, join_messages, msg
from gate.core.override import override
from gate.core.strictness import stricter
from gate.decode.quantities import ROUNDING, PositiveShare, format_duration
from gate.matchers import TextMatcher
from gate.model import ChainLink, ChainLinkName, CheckoutPath, CriterionResult, Evidence, Location, NonEmptyStr, Status
from gate.prometheus.client import Api, LoadedGroup, LoadedRule
from gate.prometheus.missing_series import Selector
from gate.prometheus.rules import Rule, bears_labels

if TYPE_CHECKING:
    from gate.staging.pages import PageInbox

_LINKS: tuple[ChainLinkName, ...] = get_args(ChainLinkName)
_SHOWN = 20
_SHORTEST = 60
# The keys that some links need.
_SOURCES: dict[ChainLinkName, tuple[str, ...]] = {
    "tested": ("tests",),
    "routed": ("alertmanager", "pages"),
    "paged": ("pages",),
}


class Chain(Struct, frozen=True):
    """One alert: where its rule stands, its severity, and why each broken link is."""

    name: str
    severity: str
    place: Location
    broken: Mapping[ChainLinkName, Message]

    def first_broken(self, links: tuple[ChainLinkName, ...]) -> Message | None:
        """Return why the first broken link among these is broken, or None."""
        return next((self.broken[link] for link in _LINKS if link in links and link in self.broken), None)


class PrometheusFacts(Struct, frozen=True):
    """What Prometheus says, asked once for all alerts.

    `missing` are the selectors without series that keep each expression from firing, `fired` the labels of the alerts
    that a drill of this run has noticed and that were firing meanwhile.
    """

    groups: tuple[LoadedGroup, ...]
    missing: Mapping[str, tuple[Selector, ...]]
    fired: tuple[Mapping[str, str], ...]
    formatted: Formatted

    def is_same(self, rule: Rule, loaded: LoadedRule) -> bool:
        """Return whether a loaded rule is this one, unchanged."""
        return not any(differences(rule, loaded, self.formatted))

    def namesakes(self, rule: Rule) -> list[tuple[str, LoadedRule]]:
        """Return the loaded alerts with a rule's name, each with the name of its group."""
        return [
            (group.name, loaded)
            for group in self.groups
            for loaded in group.rules
            if loaded.alerting and loaded.name == rule.name
        ]


class Observation(Struct, frozen=True):
    """The rule files, what is wrong with them, the chains of all alerts, and runbooks that no alert leads to.

    `judge` has judged if Prometheus takes the files.
    """

    files: tuple[str, ...]
    problems: tuple[tuple[Location, Message], ...]
    chains: tuple[Chain, ...]
    orphans: tuple[str, ...]
    judge: Message | None = None
    # Who has run the unit tests.
    test_runner: Message | None = None


class Traceability(Check[Observation]):
    """From the rule of an alert to its runbook."""

    kind: ClassVar[str] = "traceability"
    summary: ClassVar[str] = "each alert: loaded, its metrics exposed, seen firing in a drill, its runbook filled in"
    phase: ClassVar[Literal["main", "drill", "after"]] = "after"
    time_limit: ClassVar[float | None] = 60.0

    target: Annotated[TargetName, Meta(description="The Prometheus to ask.", extra=stricter("never"))]
    file: Annotated[CheckoutPath, Meta(description="The rule file, or a glob.", extra=stricter("never"))]
    version: VersionKey = None
    flags: FlagsKey = None
    links: Annotated[
        list[ChainLinkName],
        Meta(min_length=1, description="The links that have to hold for every alert.", extra=stricter("more")),
    ] = msgspec.field(default_factory=lambda: ["loaded", "exposed", "annotation", "runbook", "sections"])
    fired: Annotated[
        dict[str, PositiveShare],
        Meta(
            min_length=1,
            description="How many alerts of a severity have to have been seen firing in a drill.",
            examples=[{"critical": "100%"}],
            extra=stricter("more"),
        ),
    ] = {}
    severity: Annotated[
        NonEmptyStr, Meta(description="The label that says the severity of an alert.", extra=stricter("never"))
    ] = "severity"
    runbook: Annotated[
        RunbookRule, Meta(description="How a runbook annotation leads to a file.", extra=stricter("never"))
    ] = RunbookRule()
    sections: Annotated[
        list[NonEmptyStr],
        Meta(
            min_length=1,
            description="Headings that a runbook has to have, each with text under it; without it, all that it has.",
            extra=stricter("more"),
        ),
    ] = []
    tests: Annotated[
        CheckoutPath | None,
        Meta(
            description="The files of promtool's unit tests, or a glob, for the link `tested`.",
            examples=["ops/prometheus/tests/*.yml"],
            extra=stricter("never"),
        ),
    ] = None
    alertmanager: Annotated[
        CheckoutPath | None,
        Meta(
            description="The alertmanager.yml that routes the alerts, for the link `routed`.",
            examples=["ops/alertmanager/alertmanager.yml"],
            extra=stricter("never"),
        ),
    ] = None
    pages: Annotated[
        TargetName | None,
        Meta(
            description="The Alertmanager, a target with `pages`, whose notifications count for the link `paged`.",
            examples=["alertmanager"],
            extra=stricter("never"),
        ),
    ] = None
    runbooks: Annotated[
        CheckoutPath | None,
        Meta(description="A glob of all runbooks: an alert has to lead to each.", extra=stricter("never")),
    ] = None

    def __post_init__(self) -> None:
        for link, keys in _SOURCES.items():
            if link in self.links and link not in self.considered:
                raise ValueError(f"expected '{keys[0]}': the link '{link}' needs it")

    @property
    def considered(self) -> tuple[ChainLinkName, ...]:
        """Return the links of the chain, without those for which the checklist names no source."""
        return tuple(
            link for link in _LINKS if link not in _SOURCES or any(getattr(self, key) for key in _SOURCES[link])
        )

    @override
    def describe(self, context: CheckContext) -> str:
        return f"GET {context.url(self.target, '/api/v1/rules?type=alert')}: {self.file}"

    @override
    def reproduce_command(self, context: CheckContext) -> str:
        return shlex.join(["curl", "-sS", context.url(self.target, "/api/v1/rules?type=alert")])

    @override
    def observe(self, context: CheckContext) -> Observation:
        edition = find_edition(context, self.version, self.flags, self.target, any_server=True)
        files, judge = judged_rule_files(context, self.file, edition)
        with prometheus_client(context, self.target) as api:
            groups = tuple(api.rules())
            missing = Presence(api, groups).missing(rule.expr for file in files for rule in _named(file))
            formatted = Formatted.of(api, namesakes((rule for file in files for rule in _named(file)), groups))
            facts = PrometheusFacts(groups, missing, _fired(api, context), formatted)
        chains, linked = [], set()
        tests = read_unit_tests(context, self.tests, edition) if self.tests else None
        inbox = _inbox(context, self.pages) if self.pages else None
        routes = read_config(context, self.alertmanager) if self.alertmanager else None
        if routes is None and inbox is not None:
            routes = ReadConfig(inbox.file, inbox.config)
        paged = _paged_in_drills(inbox, context) if inbox else ()
        for file in files:
            for rule in _named(file):
                broken = dict(self._broken(rule, facts, context))
                if tests and (why := tests.why_untested(rule, file.path)):
                    broken["tested"] = why
                if routes and (why := self._not_routed(rule, routes)):
                    broken["routed"] = why
                if inbox and (why := _not_seen(rule, facts, paged, msg("no page of it arrived in a drill"))):
                    broken["paged"] = why
                chains.append(self._chain(file, rule, broken))
                linked |= self._linked(rule, context)
        problems = [
            (file.at(problem.line, problem.column), problem.reason)
            for file in files
            for problem in file.content.problems
        ]
        paths = tuple(file.path for file in files)
        orphans = tuple(self._orphans(linked, context))
        return Observation(paths, tuple(problems), tuple(chains), orphans, judge.name, tests.runner if tests else None)

    def _chain(self, file: ReadFile, rule: Rule, broken: dict[ChainLinkName, Message]) -> Chain:
        return Chain(rule.name, rule.labels.get(self.severity, ""), file.at(rule.line), broken)

    def _broken(
        self, rule: Rule, facts: PrometheusFacts, context: CheckContext
    ) -> Iterator[tuple[ChainLinkName, Message]]:
        if why := _not_loaded(rule, facts):
            yield "loaded", why
        if missing := facts.missing[rule.expr]:
            yield "exposed", msg("no scraped target exposes {metrics}", metrics=", ".join(map(str, missing)))
        if why := _not_seen(rule, facts, facts.fired, msg("it was not seen firing in a drill")):
            yield "fired", why
        yield from self._runbook_broken(rule, context)

    def _not_routed(self, rule: Rule, routes: ReadConfig) -> Message | None:
        """Return why an alert reaches no receiver that notifies somebody, as far as its rule's own labels decide."""
        if problem := routes.problem(self.alertmanager or ""):
            return problem[0]
        config = routes.config
        assert config is not None
        labels = {name: value for name, value in rule.labels.items() if "{{" not in value}
        names = dict.fromkeys(route.receiver for route in config.route.match({**labels, "alertname": rule.name}))
        receivers = [receiver for name in names if (receiver := config.receiver(name))]
        if any(receiver.integrations for receiver in receivers):
            return None
        return msg("it is routed to {receivers}, which notifies nobody", receivers=", ".join(names))

    def _runbook_broken(self, rule: Rule, context: CheckContext) -> Iterator[tuple[ChainLinkName, Message]]:
        name = self.runbook.annotation_of(rule)
        if name is None:
            yield "annotation", msg("no runbook annotation")
            return
        path = self.runbook.file_of(context, rule.annotations[name])
        if isinstance(path, Message):
            yield "runbook", path
        elif why := self._unfilled(relative_path(path, context.root.resolve()), context):
            yield "sections", why

    def _unfilled(self, path: str, context: CheckContext) -> Message | None:
        """Return why a runbook is not filled in, or None: by the required sections, else by those that it has."""
        check = Document(file=path, sections=list(map(TextMatcher, self.sections)))
        observation = check.observe(context)
        if self.sections:
            judged = check.judge(observation)
            return judged.message if judged.status is not Status.PASS else None
        sections = [section for document in observation for section in document.sections]
        if not sections:
            return msg("{path} has no section", path=path)
        return next((why for section in sections if (why := check.thin(path, section))), None)

    def _linked(self, rule: Rule, context: CheckContext) -> set[str]:
        name = self.runbook.annotation_of(rule)
        path = self.runbook.file_of(context, rule.annotations[name]) if name else None
        return set() if path is None or isinstance(path, Message) else {str(path)}

    def _orphans(self, linked: set[str], context: CheckContext) -> Iterator[str]:
        for path in find_files(context, self.runbooks) if self.runbooks else []:
            if str(path) not in linked:
                yield relative_path(path, context.root.resolve())

    @override
    def judge(self, observation: Observation) -> CheckResult:
        links = tuple(self.links)
        rows = tuple(_row(chain, links, self.considered) for chain in observation.chains)
        evidence: dict[str, Any] = {"rows": rows, "response": _table(observation, self.considered)}
        if not observation.files:
            return failed(no_match_message(self.file), final=True, **evidence)
        if not observation.chains and not observation.problems:
            nothing = msg("There is no alert in {files}", files=", ".join(observation.files[:_SHOWN]))
            return failed(nothing, final=True, **evidence)
        broken = [(chain, why) for chain in observation.chains if (why := chain.first_broken(links))]
        problems = [msg("{place}: {reason}", place=str(place), reason=why) for place, why in observation.problems]
        problems += [msg("{alert}: {why}", alert=chain.name, why=why) for chain, why in broken]
        lasting = [
            *self._coverage(observation),
            *(msg("no alert leads to {path}", path=path) for path in observation.orphans),
        ]
        problems += lasting
        if problems:
            places = (*(place for place, _ in observation.problems), *(chain.place for chain, _ in broken))
            final = bool(observation.problems or lasting) or any(
                chain.first_broken(_lasting(links)) for chain in observation.chains
            )
            message = join_messages(problems)
            message = with_judge(message, observation.judge) if observation.problems else message
            return failed(message, locations=places[:_SHOWN], final=final, **evidence)
        message = msg(
            "{count} alerts, and of each these links hold: {links}; {fired} seen firing in a drill",
            count=len(observation.chains),
            links=", ".join(link for link in _LINKS if link in links),
            fired=sum("fired" not in chain.broken for chain in observation.chains),
        )
        if self.tests:
            unrun = msg("unit tests are read, but not run: there is no promtool of this version")
            by = observation.test_runner
            message = msg("{message}; {tests}", message=message,
                          tests=msg("unit tests are run by {runner}", runner=by) if by else unrun)  # fmt: skip
        return passed(with_judge(message, observation.judge), **evidence)

    def _coverage(self, observation: Observation) -> Iterator[Message]:
        for severity, least in self.fired.items():
            mine = [chain for chain in observation.chains if chain.severity == severity]
            fired = sum("fired" not in chain.broken for chain in mine)
            if not mine or fired < least * len(mine) - ROUNDING:
                yield msg(
                    "{fired} of {count} {severity} alerts were seen firing, expected {least} %",
                    fired=fired,
                    count=len(mine),
                    severity=severity,
                    least=f"{100 * least:g}",
                )


def _lasting(links: tuple[ChainLinkName, ...]) -> tuple[ChainLinkName, ...]:
    """Return the links that nothing can mend once the drills are over; Prometheus may still load and scrape."""
    return tuple(link for link in links if link not in ("loaded", "exposed"))


def _named(file: ReadFile) -> list[Rule]:
    """Return the alerts of a file that have a name. One without a name is a problem of the file."""
    return [rule for rule in file.content.alerts if rule.name]


def _not_loaded(rule: Rule, facts: PrometheusFacts) -> Message | None:
    """Return why this rule, and not another of its name, is not loaded and healthy; or None."""
    namesakes = facts.namesakes(rule)
    same = [loaded for group, loaded in namesakes if group == rule.group and facts.is_same(rule, loaded)]
    if not same:
        return msg("another rule of its name is loaded, and not this one") if namesakes else msg("it is not loaded")
    if bad := next((loaded for loaded in same if loaded.health != "ok"), None):
        return msg("it is loaded and not healthy: {why}", why=bad.error or bad.health)
    late = max((loaded.overdue for loaded in same if loaded.overdue is not None), default=None)
    return None if late is None else msg("it was last evaluated {time} ago", time=format_duration(late))


def _not_seen(
    rule: Rule, facts: PrometheusFacts, alerts: Iterable[Mapping[str, str]], never: Message
) -> Message | None:
    """Return why none of some alerts, by their labels, was this rule's; or None. An alert counts for one rule only."""
    named = (labels for labels in alerts if labels.get("alertname") == rule.name)
    mine = [labels for labels in named if bears_labels(labels, rule.labels)]
    if not mine:
        return never
    others = [loaded for _, loaded in facts.namesakes(rule) if not facts.is_same(rule, loaded)]
    if any(not any(bears_labels(labels, other.labels) for other in others) for labels in mine):
        return None
    return msg("an alert of its name was seen firing in a drill, and it can't be told which rule's it was")


def _inbox(context: CheckContext, target: str) -> PageInbox:
    """Return what receives the pages of an Alertmanager. Raises ObservationError and TargetDownError."""
    require_target(context, target)
    inbox = context.targets[target].inbox
    if inbox is None:
        raise ObservationError(
            msg("{target} has no `pages`: its notifications go to people, not to the gate", target=target), final=True
        )
    return inbox


def _paged_in_drills(inbox: PageInbox, context: CheckContext) -> tuple[Mapping[str, str], ...]:
    """Return the labels of the alerts of which a page arrived while a drill of this run was under way."""
    drills = [item.outcome for item in context.results.values() if item.check == "drill"]
    spans = [
        (drill.evidence.started.timestamp(), drill.evidence.started.timestamp() + drill.evidence.duration)
        for drill in drills
        if drill.evidence.started is not None
    ]
    return tuple(
        alert.labels
        for notification in inbox.received
        if any(start <= notification.at_unix <= end for start, end in spans)
        for alert in notification.alerts
        if alert.status == "firing"
    )


def _fired(api: Api, context: CheckContext) -> tuple[Mapping[str, str], ...]:
    """Return the labels of the alerts that a drill of this run observed and Prometheus recorded as firing."""
    outcomes = [item.outcome for item in context.results.values() if item.check == "drill"]
    moments = [moment for outcome in outcomes if outcome.timeline for moment in outcome.timeline.events]
    noticed = {str(moment.what.args["alert"]) for moment in moments if "alert" in moment.what.args}
    if not noticed:
        return ()
    window = max(_SHORTEST, int(time.monotonic() - context.began) + 1)
    fired = api.query(f'max_over_time(ALERTS{{alertstate="firing"}}[{window}s])')
    return tuple(series.labels for series in fired if series.labels.get("alertname") in noticed)


def _row(chain: Chain, links: tuple[ChainLinkName, ...], considered: tuple[ChainLinkName, ...]) -> CriterionResult:
    """Return the row of an alert with all its links; it passes if the required ones hold."""
    why, not_demanded = chain.first_broken(links), chain.first_broken(considered)
    message = why or (msg("{why} (not demanded)", why=not_demanded) if not_demanded else msg("no link is broken"))
    return CriterionResult(
        title=msg("{alert}", alert=chain.name),
        status=Status.FAIL if why else Status.PASS,
        message=message,
        phase="alert",
        severity=chain.severity,
        links=tuple(ChainLink(name=link, holds=link not in chain.broken) for link in considered),
        evidence=Evidence(locations=(chain.place,)),
    )


def _table(observation: Observation, considered: tuple[ChainLinkName, ...]) -> str:
    """Return a line for each alert, with a mark for each link."""
    lines = ["severity   " + " ".join(f"{link:<10}" for link in considered) + " alert"]
    for chain in observation.chains:
        marks = " ".join(f"{'no' if link in chain.broken else 'yes':<10}" for link in considered)
        lines.append(f"{chain.severity or '-':<10} {marks} {chain.name}")
    return "\n".join([*lines, *(f"no alert leads to {path}" for path in observation.orphans)])
