"""Check that each query of Grafana dashboards parses, reads metrics that are exposed, and returns data."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Annotated, ClassVar

from msgspec import Meta, Struct, field, structs

from gate.checks._checkout import find_files, read_bytes, relative_path, shell_pattern
from gate.checks._dashboard_data import find_results
from gate.checks._dashboard_files import DashboardFile, JudgedQuery, judge_queries, read_file
from gate.checks._exposed_metrics import ExposedMetrics, show
from gate.checks._promtool import find_edition, with_judge
from gate.checks.base import Check, CheckResult, ObservationError, TargetName, failed, passed
from gate.checks.context import CheckContext
from gate.checks.prometheus_queries import no_match_message, prometheus_client
from gate.core.messages import Message, join_messages, msg
from gate.core.override import override
from gate.core.strictness import stricter
from gate.decode.quantities import ROUNDING, PositiveShare, format_size
from gate.model import CheckoutPath, Location, SomeTexts
from gate.prometheus import durations
from gate.prometheus.client import ActiveTarget, Api
from gate.prometheus.missing_series import Selector
from gate.redaction.secrets import redacted_head

# Bytes of all files together.
_SIZE_LIMIT = 64 * 2**20
_QUERY_LIMIT = 20_000
_SHOWN = 50
_LISTED = 200
_DEFAULT_INTERVAL = 15.0
_SCRAPE_INTERVAL = re.compile(r"^global:\n(?:  .*\n)*?  scrape_interval: (\S+)$", re.MULTILINE)
_NO_QUERY = msg("nothing was judged; it has no query")
_NO_METRIC = msg("no metric is named")
Wrong = tuple[Location, Message]


class Observation(Struct, frozen=True):
    """The files, and why each metric is not exposed that is not. `down`: targets that can't be scraped."""

    files: tuple[DashboardFile, ...]
    missing: Mapping[Selector, Message] = field(default_factory=dict)
    down: tuple[str, ...] = ()
    # Who has judged the expressions.
    judge: Message | None = None


class Dashboards(Check[Observation]):
    """Grafana dashboards, and the Prometheus that answers them."""

    kind: ClassVar[str] = "dashboards"
    summary: ClassVar[str] = "Grafana dashboards: every query parses, and every metric in it is exposed"
    time_limit: ClassVar[float | None] = 60.0

    target: Annotated[
        TargetName, Meta(description="The Prometheus that answers the dashboards.", extra=stricter("never"))
    ]
    files: Annotated[
        CheckoutPath,
        Meta(
            description="The dashboard's JSON file, or a glob.",
            examples=["ops/grafana/*.json"],
            extra=stricter("never"),
        ),
    ]
    data: Annotated[
        PositiveShare | None,
        Meta(
            description="How many of the queries of panels and variables have to return data.",
            examples=["90%"],
            extra=stricter("set", "higher"),
        ),
    ] = None
    datasources: Annotated[
        SomeTexts | None,
        Meta(
            description="The data sources that are this Prometheus, by name or uid; all of Prometheus without it.",
            examples=[["prometheus-app"]],
            extra=stricter("never"),
        ),
    ] = None
    optional: Annotated[
        SomeTexts | None,
        Meta(
            description="Metrics that need not be exposed; `*` stands for any characters.",
            examples=[["node_hwmon_*"]],
            extra=stricter("fewer"),
        ),
    ] = None

    @override
    def describe(self, context: CheckContext) -> str:
        return f"{self.files}: {context.url(self.target)}"

    @override
    def reproduce_command(self, context: CheckContext) -> str:
        program = "[.. | objects | .expr? // empty | strings] | unique[]"
        return f"jq -r {shlex.quote(program)} {shell_pattern(self.files)}"

    @override
    def observe(self, context: CheckContext) -> Observation:
        with prometheus_client(context, self.target) as api:
            groups, interval = api.rules(), _scrape_interval(api)
        edition = find_edition(context, None, None, self.target, any_server=True)
        files = tuple(
            structs.replace(file, queries=tuple(judge_queries(file, edition.release)))
            for file in self._read_files(context, interval)
        )
        exposed = ExposedMetrics(context, self.target, groups)
        missing = exposed.missing(list(dict.fromkeys(self._metrics(files))))
        with prometheus_client(context, self.target) as api:
            down = tuple(map(_down, (target for target in api.targets() if target.health == "down"))) if missing else ()
        if self.data is not None:
            files = find_results(context, self.target, files, edition.release)
        return Observation(files, missing, down, edition.reader)

    def _read_files(self, context: CheckContext, interval: float) -> tuple[DashboardFile, ...]:
        root, size, count = context.root.resolve(), 0, 0
        files: list[DashboardFile] = []
        for path in find_files(context, self.files):
            raw = read_bytes(path, root)
            size += len(raw)
            read = read_file(relative_path(path, root), raw, self.datasources or (), interval)
            count += sum(len(dashboard.queries) for file in read for dashboard in file.dashboards)
            if size > _SIZE_LIMIT or count > _QUERY_LIMIT:
                raise ObservationError(msg("{pattern} matches more than {size} or {count} queries; name fewer files",
                                           pattern=self.files, size=format_size(_SIZE_LIMIT), count=_QUERY_LIMIT),
                                       final=True)  # fmt: skip
            if not context.remaining():
                raise ObservationError(msg("The dashboards could not be read in time"))
            files += read
        return tuple(files)

    def _metrics(self, files: tuple[DashboardFile, ...]) -> Iterator[Selector]:
        """Yield the metrics that the queries read, except optional ones."""
        for judged in (judged for file in files for judged in file.queries):
            for metric in judged.reading.metrics:
                if not any(fnmatchcase(metric.selector.name, pattern) for pattern in self.optional or ()):
                    yield metric.selector

    # Judgement

    @override
    def judge(self, observation: Observation) -> CheckResult:
        files = observation.files
        if not files:
            return failed(no_match_message(self.files), final=True)
        broken = list(_broken(files))
        wrong = [*broken, *_missing(observation)]
        reasons = [msg("{place}: {reason}", place=str(place), reason=reason) for place, reason in wrong]
        if self.data is not None:
            reasons += self._without_data(files, self.data)
        response = "\n".join(_listing(files))
        if not reasons:
            return passed(with_judge(self._proof(observation), observation.judge), response=response,
                          locations=tuple(Location(file=file.path) for file in files[:_SHOWN]))  # fmt: skip
        advice = None
        if observation.down:
            advice = msg("Prometheus can't scrape {targets}", targets="; ".join(observation.down[:_SHOWN]))
        lines = [f"{place}: {reason}" for place, reason in wrong[:_LISTED]]
        return failed(join_messages(reasons), response="\n".join([*lines, "", response]), advice=advice,
                      locations=tuple(place for place, _ in wrong[:_SHOWN]), final=bool(broken))  # fmt: skip

    def _without_data(self, files: tuple[DashboardFile, ...], least: float) -> Iterator[Message]:
        asked = [(file, judged) for file in files for judged in file.queries if judged.asked]
        empty = [(file, judged) for file, judged in asked if judged.no_data is not None]
        if asked and len(asked) - len(empty) >= least * len(asked) - ROUNDING:
            return
        yield msg("{found} of {count} queries return data, expected {least} %", found=len(asked) - len(empty),
                  count=len(asked), least=f"{100 * least:g}")  # fmt: skip
        for (_, judged), place in zip(empty, _locate([(*query, 0) for query in empty]), strict=True):
            yield msg("{place}: {where}: {reason}", place=str(place), where=judged.query.where,
                      reason=judged.no_data or "")  # fmt: skip

    def _proof(self, observation: Observation) -> Message:
        files = observation.files
        judged = [judged for file in files for judged in file.queries if judged.is_judged]
        boards = sum(len(file.dashboards) for file in files)
        metrics = {metric.selector for each in judged for metric in each.reading.metrics}
        skipped = sum(len(_not_judged(file)) for file in files)
        proof = msg(
            "{dashboards}: {queries}, {metrics}, {skipped}",
            dashboards=msg("{count} dashboard", "{count} dashboards", count=boards),
            queries=msg("{count} query parses", "{count} queries parse", count=len(judged)),
            metrics=msg("{count} metric is exposed", "{count} metrics are exposed", count=len(metrics)),
            skipped=msg("{count} query is not judged", "{count} queries are not judged", count=skipped),
        )
        if self.data is None:
            return proof
        asked = [judged for file in files for judged in file.queries if judged.asked]
        found = sum(judged.no_data is None for judged in asked)
        return msg("{proof}; {found} of {count} queries return data", proof=proof, found=found, count=len(asked))


def _scrape_interval(api: Api) -> float:
    """Return the scrape interval of a Prometheus in seconds: Grafana's intervals are derived from it."""
    match = _SCRAPE_INTERVAL.search(api.config())
    return (durations.seconds(match[1]) if match else None) or _DEFAULT_INTERVAL


def _down(target: ActiveTarget) -> str:
    return redacted_head(f"{target.url}: {target.error}", 200)


def _not_judged(file: DashboardFile) -> list[Message]:
    """Return why each query of a file is not judged that is not."""
    skipped = [skipped.reason for dashboard in file.dashboards for skipped in dashboard.not_judged]
    return skipped + [_NO_METRIC for judged in file.queries if not judged.is_judged or judged.reading.unnamed]


def _count_reasons(file: DashboardFile) -> list[Message]:
    """Return the reasons for which queries are not judged, each with their number."""
    reasons = {str(reason): reason for reason in _not_judged(file)}
    counts = Counter(map(str, _not_judged(file)))
    return [msg("{reason}: {count}", reason=reasons[text], count=counts[text]) for text in sorted(reasons)]


def _broken(files: tuple[DashboardFile, ...]) -> Iterator[Wrong]:
    """Yield what is wrong with the files themselves."""
    uids: dict[str, str] = {}
    for file in files:
        if file.error is not None:
            yield Location(file=file.path, line=file.error.line, column=file.error.column), file.error.message
            continue
        if not file.dashboards:
            yield Location(file=file.path), msg("not a Grafana dashboard")
            continue
        problems = [problem for dashboard in file.dashboards for problem in dashboard.problems]
        errors = [(each, each.reading.error) for each in file.queries if each.reading.error is not None]
        places = [(problem.path, 0) for problem in problems]
        places += [(each.query.path, error.position) for each, error in errors]
        reasons = [problem.reason for problem in problems]
        reasons += [msg("{where}: {reason}", where=each.query.where, reason=error.reason) for each, error in errors]
        yield from zip(file.locations(places), reasons, strict=True)
        if not any(each.is_judged for each in file.queries) and not problems:
            why = _count_reasons(file)
            nothing = msg("nothing was judged; not judged: {why}", why=join_messages(why)) if why else _NO_QUERY
            yield Location(file=file.path), nothing
        for dashboard in file.dashboards:
            if dashboard.uid and (other := uids.setdefault(dashboard.uid, file.path)) != file.path:
                yield Location(file=file.path), msg("'uid' {uid} is a duplicate of {other}; Grafana provisions neither",
                                                    uid=dashboard.uid, other=other)  # fmt: skip


def _missing(observation: Observation) -> Iterator[Wrong]:
    """Yield each metric that is not exposed, at the first query that reads it."""
    reads: dict[Selector, list[tuple[DashboardFile, JudgedQuery, int]]] = {}
    for file in observation.files:
        for judged in file.queries:
            for metric in judged.reading.metrics:
                if metric.selector in observation.missing:
                    reads.setdefault(metric.selector, []).append((file, judged, metric.position))
    firsts = [readers[0] for readers in reads.values()]
    places = _locate(firsts)
    for (selector, readers), place in zip(reads.items(), places, strict=True):
        where = readers[0][1].query.where
        if more := len(readers) - 1:
            others = msg("{count} more query", "{count} more queries", count=more)
            where = msg("{where} and {more}", where=where, more=others)
        yield place, msg("{where}: {metric}: {why}", where=where, metric=show(selector),
                         why=observation.missing[selector])  # fmt: skip


def _locate(queries: list[tuple[DashboardFile, JudgedQuery, int]]) -> list[Location]:
    """Return where characters of some queries stand. Each file is passed through once: it can be long."""
    of_file: dict[int, list[int]] = {}
    for number, (file, _, _) in enumerate(queries):
        of_file.setdefault(id(file), []).append(number)
    found: dict[int, Location] = {}
    for numbers in of_file.values():
        file = queries[numbers[0]][0]
        places = [(queries[number][1].query.path, queries[number][2]) for number in numbers]
        found |= zip(numbers, file.locations(places), strict=True)
    return [found[number] for number in range(len(queries))]


def _listing(files: tuple[DashboardFile, ...]) -> Iterator[str]:
    """Yield a line for each dashboard, and for each reason for which queries are not judged."""
    for file in files[:_LISTED]:
        titles = ", ".join(redacted_head(board.title or "-", 100) for board in file.dashboards[:3])
        reasons = "; ".join(map(str, _count_reasons(file)))
        judged = sum(each.is_judged for each in file.queries)
        yield f"{file.path}: {titles}: judged: {judged}" + (f"; not judged: {reasons}" if reasons else "")
