"""Reports to render, built by hand: the hand-run gate's own, a GO, a hostile one, many items, drills with timelines."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any, get_args

from gate.core.messages import Message, msg
from gate.model import (
    ChainLink,
    ChainLinkName,
    Commit,
    CriterionResult,
    Decision,
    DrillTimesDiff,
    Evidence,
    ItemResult,
    Location,
    MetricSeries,
    Outcome,
    Provenance,
    Report,
    ReportDiff,
    SectionResult,
    Severity,
    Status,
    TargetResult,
    Timeline,
    TimelineEvent,
    Verdict,
    Waiver,
)
from gate.verdict import decide

STARTED = datetime(2025, 12, 15, 14, 36, 54, tzinfo=UTC)
TODAY = STARTED.date()
COMMIT = "feb7283cd4a17c4460be28697ac2d7e4b7476512"
NOT_UP = msg("{target} is not ready: {why}", target="api", why=msg("connection refused"))
NO_PROMETHEUS = msg("{target} is not ready: {why}", target="prometheus", why=msg("connection refused"))
START_API = msg("Start {target}, or correct its address in the checklist", target="api")
START_PROMETHEUS = msg("Start {target}, or correct its address in the checklist", target="prometheus")

HOSTILE = (
    "</script><script>alert(1)</script> <img src=x onerror=alert(2)> @everyone #1 ![x](http://evil.example/x.png) "
    "| a | b |\n```\n~~~~\n::error::owned\n##[error]owned\n]]> &amp; <!-- \x00\x1b[31mred\x07 \ud800 \ufffe \uffff "
    "\u202eright to left {name} {0} %s ${{ secrets.TOKEN }} {{ 7*7 }} `code` ``two`` https://evil.example/ "
    "<details><summary>gone</summary> javascript:alert(3) '\"><svg onload=alert(4)>"
)


def item(
    id: str,
    title: str,
    status: Status = Status.PASS,
    message: Message | None = None,
    *,
    check: str = "http",
    severity: Severity = Severity.BLOCKING,
    waiver: Waiver | None = None,
    evidence: Evidence | None = None,
    **outcome: object,
) -> ItemResult:
    """Return an item with its outcome, and evidence where none is given."""
    message = message or msg("GET {url} answered {status}", url=f"http://api:8080/{id}", status=200)
    made = evidence or proof(asked=f"GET http://api:8080/{id}", reproduce=f"curl -sS http://api:8080/{id}")
    return ItemResult(
        id=id,
        title=title,
        severity=severity,
        check=check,
        outcome=Outcome(status=status, message=message, evidence=made, **outcome),
        waiver=waiver,
        location=Location(file="prodgate.yml", line=7, column=9),
    )


def proof(asked: str = "", response: str = "", reproduce: str = "", **more: object) -> Evidence:
    """Return the evidence of one attempt."""
    given = {"started": STARTED, "duration": 0.012, "attempts": 1, **more}
    return Evidence(request=asked, response=response, reproduce_command=reproduce, **given)


def skipped(id: str, title: str, target: str = "api", **more: object) -> ItemResult:
    """Return an item that was not run, because a target that it requires is not ready."""
    message = NOT_UP if target == "api" else NO_PROMETHEUS
    advice = START_API if target == "api" else START_PROMETHEUS
    reproduce = f"curl -sS http://{target}:8080/{id}"
    given = {"evidence": Evidence(reproduce_command=reproduce), **more}
    return item(
        id, title, Status.SKIP, message, advice=advice, cause=f"target:{target}", cause_message=message, **given
    )


def report(
    sections: Iterable[SectionResult], *, waivers: tuple[Waiver, ...] = (), language: str = "en", **more: object
) -> Report:
    """Return a report with the verdict that its sections come to."""
    held = tuple(sections)
    given: dict[str, object] = {
        "gate": "0.1.0",
        "service": "veza-backend-api",
        "environment": "staging",
        "started": STARTED,
        "finished": STARTED + timedelta(seconds=12.4),
        "source": Provenance(commit=COMMIT, ref="main", repository="veza/veza-backend-api"),
        "files": ("prodgate.yml",),
        "verdict": decide(held, waivers=waivers, today=TODAY, ended=str(more.get("ended", "complete"))),
    }
    return Report(sections=held, waivers=waivers, language=language, **{**given, **more})


def section(id: str, title: str, *items: ItemResult) -> SectionResult:
    """Return a section of items."""
    return SectionResult(id=id, title=title, items=items)


def refused(id: str, path: str) -> ItemResult:
    """Return a health endpoint of an API that is not up."""
    url = f"http://api:8080{path}"
    message = msg("GET {url} failed while connecting: {why}", url=url, why="connection refused")
    evidence = proof(f"GET {url}", "connection refused", f"curl -sS -i {url}", attempts=3)
    return item(id, f"`{path}` accessible", Status.FAIL, message, evidence=evidence, advice=START_API)


def found(id: str, title: str, path: str) -> ItemResult:
    """Return a file that is there."""
    message = msg("{path} exists ({size})", path=path, size="8.0 KiB")
    evidence = proof(path, f"-rw-r--r-- 8192 {path}", f"ls -la {path}", locations=(Location(file=path, line=1),))
    return item(id, title, Status.PASS, message, check="file", evidence=evidence)


METRICS = (
    "veza_db_pool_open_connections",
    "veza_db_pool_in_use",
    "veza_db_pool_wait_count_total",
    "veza_circuit_breaker_state",
    "veza_circuit_breaker_requests_total",
    "veza_gin_http_requests_total",
    "veza_gin_http_request_duration_seconds",
)


def all_down(language: str = "fr") -> Report:
    """Return the report of December 2025: nothing is running, 33 items, 10 pass, 3 fail, 20 skip."""
    alerts = "ops/prometheus/alerts.yml"
    sections = (
        section(
            "scrape",
            "Prometheus scrape OK",
            skipped("scrape.endpoint", "Endpoint `/metrics` accessible"),
            skipped("scrape.metrics", "Métriques `veza_*` présentes"),
            skipped("scrape.format", "Format Prometheus valide"),
            found("scrape.job", "Job configuré dans `prometheus.yml`", "ops/prometheus/prometheus.yml"),
            skipped("scrape.active", "Prometheus scrape actif", "prometheus"),
            skipped("scrape.visible", "Métriques visibles dans Prometheus", "prometheus"),
        ),
        section(
            "rules",
            "Règles d'alerte chargées",
            found("rules.file", "Fichier `alerts.yml` présent", alerts),
            skipped("rules.loaded", "Règles chargées dans Prometheus", "prometheus"),
            found("rules.valid", "Règles valides (syntaxe)", alerts),
            skipped("rules.visible", "Règles visibles", "prometheus"),
            found("rules.groups", "Groupes de règles présents", alerts),
        ),
        section(
            "alert",
            "Alerte vue et runbook suivi",
            skipped("alert.visible", "Alerte visible dans Prometheus", "prometheus"),
            found("alert.runbook", "Runbook correspondant existe", "docs/runbooks/db_down.md"),
            found("alert.complete", "Runbook lisible et complet", "docs/runbooks/db_down.md"),
            skipped("alert.trigger", "Déclencher l'alerte"),
            skipped("alert.firing", "Alerte pending ou firing", "prometheus"),
            skipped("alert.annotation", "Annotation `runbook` dans l'alerte", "prometheus"),
        ),
        section(
            "metrics",
            "Métriques clés vérifiées",
            *(skipped(f"metrics.{name}", f"`{name}`") for name in METRICS),
        ),
        section(
            "health",
            "Validation endpoints health",
            refused("health.health", "/health"),
            refused("health.readyz", "/readyz"),
            refused("health.live", "/live"),
        ),
        section(
            "drills",
            "Tests opérationnels",
            skipped("drills.database", "DB down drill", check="drill"),
            skipped("drills.breaker", "Circuit breaker drill", check="drill"),
        ),
        section(
            "docs",
            "Documentation",
            found("docs.runbooks", "Runbooks présents", "docs/runbooks"),
            found("docs.actionable", "Runbooks actionnables", "docs/runbooks/db_down.md"),
            found("docs.hardening", "Rapport hardening présent", "docs/PROD_WEEK1_HARDENING_REPORT.md"),
            found("docs.prometheus", "Documentation Prometheus présente", "ops/prometheus/README.md"),
        ),
    )
    why = msg("connection refused")
    targets = (
        TargetResult(
            name="api",
            address="http://api:8080",
            ready=False,
            message=NOT_UP,
            duration=60.0,
            log="panic: dial tcp 127.0.0.1:5432: connect: connection refused",
        ),
        TargetResult(name="prometheus", address="http://prometheus:9090", ready=False, message=why, duration=60.0),
    )
    return report(sections, language=language, targets=targets)


def drill(id: str = "drills.database", title: str = "DB down drill", status: Status = Status.PASS) -> ItemResult:
    """Return a drill that was noticed, with its rows, moments and a metric's own curve."""
    rows = (
        row("Steady state: GET /readyz is 200", phase="steady"),
        row("The database has exited and its port refuses", phase="fault", at=0.4),
        row("GET /readyz is 503, not_ready", phase="observe", at=0.9, within=10.0),
        row("Alert VezaDatabaseDown is pending or firing", status, phase="observe", at=8.2, within=60.0),
        row("GET /live stays 200", phase="throughout"),
        row("GET /readyz is 200 again", phase="recover", at=33.1, within=30.0),
    )
    moments = (
        moment(0.0, "Fault: database stopped", "fault"),
        moment(0.9, "GET /readyz answers 503", "seen"),
        moment(3.1, "VezaDatabaseDown pending", "pending"),
        moment(18.4, "VezaDatabaseDown firing", "firing"),
        moment(30.0, "Database started again", "restored"),
        moment(33.1, "GET /readyz answers 200", "recovered"),
        moment(41.7, "VezaDatabaseDown resolved", "resolved"),
    )
    points = tuple((float(second), 0.0 if 2 <= second < 34 else 1.0) for second in range(-5, 46))
    pool = tuple(
        (float(second), 4.0 if second < 0 or second > 33 else max(0.0, 4.0 - second)) for second in range(-5, 46)
    )
    timeline = Timeline(
        events=moments,
        curves=(
            MetricSeries(name="veza_db_up", points=points),
            MetricSeries(name="veza_db_pool_open_connections", points=pool),
        ),
        detected_after=0.9,
        recovered_after=3.1,
    )
    message = msg("Noticed after {detect}, recovered after {recover}", detect="900 ms", recover="3.1 s")
    return item(
        id,
        title,
        status,
        message,
        check="drill",
        rows=rows,
        timeline=timeline,
        evidence=proof("stop database", "exited (0)", f"prodgate run --only {id}", duration=46.0),
    )


def row(title: str, status: Status = Status.PASS, **more: object) -> CriterionResult:
    """Return a criterion of a drill."""
    return CriterionResult(title=msg("{title}", title=title), status=status, message=msg("seen as expected"), **more)


def moment(at: float, what: str, kind: str) -> TimelineEvent:
    """Return a moment of a drill."""
    return TimelineEvent(at=at, what=msg("{what}", what=what), kind=kind)


def go(language: str = "en") -> Report:
    """Return a report in which everything passed, both drills included."""
    return report(
        (
            section(
                "health", "Health endpoints", item("health.live", "`/live` answers"), item("health.readyz", "Ready")
            ),
            section("drills", "Drills", drill(), drill("drills.breaker", "Circuit breaker drill")),
        ),
        language=language,
    )


def changed(language: str = "en") -> Report:
    """Return a GO with what is different from the report before it."""
    changes = ReportDiff(
        baseline="0123456789abcdef0123456789abcdef01234567",
        baseline_decision=Decision.NO_GO,
        newly_failing=("health.live",),
        fixed=("health.readyz",),
        added=("drills.breaker",),
        removed=("old.item",),
        newly_skipped=("drills.database",),
        rate=100,
        rate_before=75,
        drills=(
            DrillTimesDiff(item="drills.database", detect=2.1, detect_before=0.9, recover=3.0, recover_before=3.5),
        ),
        commits=(
            Commit(id="fedcba9876543210fedcba9876543210fedcba98", subject=f"Reconnect to the database {HOSTILE}"),
        ),
    )
    return go(language).replace(changes=changes)


def alert(name: str, severity: str, line: int, *broken: ChainLinkName) -> CriterionResult:
    """Return an alert's row, with those of its links that are broken."""
    shown = [link for link in get_args(ChainLinkName) if link not in ("tested", "routed", "paged")]
    links = tuple(ChainLink(name=link, holds=link not in broken) for link in shown)
    return CriterionResult(
        title=msg("{alert}", alert=name),
        status=Status.FAIL if broken else Status.PASS,
        message=msg("it was not seen firing in a drill") if broken else msg("no link is broken"),
        phase="alert",
        severity=severity,
        links=links,
        evidence=Evidence(locations=(Location(file="ops/alerts.yml", line=line),)),
    )


def traced(language: str = "en") -> Report:
    """Return a report of alerts: two of one name, one without a severity, one with a hostile name."""
    rows = (
        alert("HighErrors", "critical", 4),
        alert("HighErrors", "critical", 9, "fired", "runbook"),
        alert("Bare", "", 14, "annotation"),
        alert(HOSTILE, HOSTILE, 19, "loaded"),
    )
    message = msg("HighErrors: it was not seen firing in a drill")
    found = item(
        "alerts.chain", "Every alert leads to a runbook", Status.FAIL, message, check="traceability", rows=rows
    )
    return report((section("alerts", "Alerts", found),), language=language)


WAIVER = Waiver(
    item="tests.unit",
    reason="servicemocks fails on the shared runner, issue 412",
    owner="backend-team",
    expires=date(2026, 3, 31),
    issue="412",
    approved_by="ops",
)


def reserved(language: str = "en") -> Report:
    """Return a GO with reservations: a waiver, an advisory failure, and an item that needed two tries."""
    failing = msg("{count} tests failed", count=2)
    flaky = proof("GET http://api:8080/live", "200 OK", "curl http://api:8080/live", attempts=2)
    return report(
        (
            section("health", "Health endpoints", item("health.live", "`/live` answers", evidence=flaky)),
            section(
                "tests",
                "Tests",
                item("tests.unit", "Unit tests", Status.FAIL, failing, waiver=WAIVER, check="tests"),
                item(
                    "tests.slow",
                    "Slow tests",
                    Status.ERROR,
                    msg("No response within the timeout"),
                    severity=Severity.ADVISORY,
                    advice=msg("Give it more time with {key}", key="timeout"),
                ),
            ),
        ),
        waivers=(WAIVER,),
        language=language,
    )


def hostile(language: str = "en", text: str = HOSTILE, name: str = "hostile") -> Report:
    """Return a report with hostile text wherever text goes; ids begin with `name`."""
    message = msg("{text}", text=text)
    evidence = proof(text, text, text, locations=(Location(file=text.replace("\x00", ""), line=3, text=text),))
    waiver = Waiver(item=f"{name}.waived", reason=text, owner=text, expires=date(2026, 3, 31), issue=text)
    rows = (CriterionResult(title=message, status=Status.FAIL, message=message, phase=text, at=1.0),)
    timeline = Timeline(
        events=(TimelineEvent(at=0.0, what=message, kind=text), TimelineEvent(at=1e308, what=message)),
        curves=(
            MetricSeries(name=text, points=((0.0, float("nan")), (1.0, float("inf")), (2.0, -1e308), (3.0, 1e308))),
            MetricSeries(name="empty"),
        ),
        detected_after=1.0,
    )
    items = [
        item(f"{name}.{status.value}", text, status, message, evidence=evidence, advice=message, cause=text)
        for status in (Status.PASS, Status.FAIL, Status.ERROR, Status.SKIP)
    ]
    items.append(item(f"{name}.waived", text, Status.FAIL, message, evidence=evidence, waiver=waiver))
    items.append(item(f"{name}.drill", text, Status.FAIL, message, check="drill", rows=rows, timeline=timeline))
    target = TargetResult(name=text, address=text, ready=False, message=message, log=text)
    return report(
        (section("hostile", text, *items),),
        waivers=(waiver,),
        language=language,
        service=text,
        environment=text,
        targets=(target,),
        source=Provenance(commit=text, url="javascript:alert(5)", ref=text, repository=text),
    )


def many(count: int = 1000, language: str = "en") -> Report:
    """Return a report of `count` items in sections of fifty, one of ten failing."""
    items = [
        item(
            f"many.{number}",
            f"Item number {number}",
            Status.FAIL,
            msg("expected {wanted}, got {got}", wanted=200, got=500),
        )
        if number % 10 == 0
        else item(f"many.{number}", f"Item number {number}", evidence=proof("GET /", "x" * 400, "curl http://api/"))
        for number in range(count)
    ]
    groups = [items[start : start + 50] for start in range(0, count, 50)]
    return report(
        (section(f"part{number}", f"Part {number}", *group) for number, group in enumerate(groups)), language=language
    )


def part(name: str, *statuses: Status, service: str = "shop", commit: str = "c", **more: Any) -> Report:
    """Return the report of a part, with an item for each status."""
    items = tuple(
        ItemResult(
            id=f"{name}.{number}",
            title="T",
            severity=Severity.BLOCKING,
            check="file",
            outcome=Outcome(status=status, message=msg("seen")),
        )
        for number, status in enumerate(statuses)
    )
    fields: dict[str, Any] = {
        "gate": "1",
        "service": service,
        "environment": "staging",
        "started": STARTED,
        "finished": STARTED,
        "source": Provenance(commit=commit),
        "sections": (SectionResult(id=name, title=name, items=items),),
        "verdict": Verdict(decision=Decision.GO),
    }
    return Report(**{**fields, **more})
