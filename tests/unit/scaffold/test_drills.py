"""Each database, cache and broker gets a drill, or the one question that decides whether it can have one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.repositories import propose, write

COMPOSE = """services:
  app: {build: ., ports: ["8000:8000"], depends_on: [db, cache]}
  db: {image: "postgres:17", environment: {POSTGRES_PASSWORD: p}, healthcheck: {test: pg_isready, interval: 5s}}
  cache: {image: "redis:7"}
"""
PYTHON = '@app.get("%s")\nasync def ready():\n    %s\n    return "ok"\n\n\ndef other():\n    redis.ping()\n'
GO = """package main

func routes(store *Store) {
\tready := newReady(store)
\tmux.HandleFunc("GET /healthz", ready)
}
"""


def repository(root: Path, **files: str) -> Path:
    """Write a repository with an application, a database and a cache."""
    named = {name.replace("__", "/").replace("_", "."): text for name, text in files.items()}
    return write(root, {"compose.yml": COMPOSE, "Dockerfile": "FROM x\n", **named})


@pytest.mark.parametrize(
    ("files", "drilled"),
    [
        ({"app_py": PYTHON % ("/health", 'await db.execute("SELECT 1")')}, {"drills.db"}),
        ({"app_py": PYTHON % ("/readyz", "await check_database(); await redis.ping()")}, {"drills.db", "drills.cache"}),
        ({"app_py": PYTHON % ("/readyz", "pass")}, set()),
        ({"app_py": PYTHON % ("/health", "pass  # not the database")}, set()),
        (
            {
                "main_go": GO,
                "store_go": "package main\n\nfunc newReady(s *Store) H {\n\treturn func() { s.Ping() }\n}\n",
            },
            {"drills.db"},
        ),
        (
            {
                "routes__web_php": "Route::get('/status', [StatusController::class, 'show']);\n",
                "app__StatusController_php": "class StatusController {\n  public function show() {\n"
                "    DB::table('users')->count();\n    Cache::add('a', 1);\n  }\n}\n",
            },
            {"drills.db", "drills.cache"},
        ),
        ({"pom_xml": "<artifactId>spring-boot-starter-actuator</artifactId>\n"}, {"drills.db"}),
        ({"readme_md": "nothing\n"}, set()),
    ],
    ids=[
        "query",
        "both",
        "static",
        "a comment",
        "made elsewhere",
        "controller",
        "actuator",
        "nothing",
    ],
)
def test_a_drill_needs_a_reason(files: dict[str, str], drilled: set[str], tmp_path: Path) -> None:
    """It is active if the handler names the dependency, or readiness is declared; else it is a comment that asks."""
    proposal = propose(repository(tmp_path, **files))
    assert set(proposal.drills) == drilled
    for name in {"db", "cache"} - {drill.removeprefix("drills.") for drill in drilled}:
        assert f"#     - id: drills.{name}" in proposal.text or f"#      - id: drills.{name}" in proposal.text
        assert f"when {name} is down?" in proposal.text


def test_a_commented_drill_is_one_without_its_marks(tmp_path: Path) -> None:
    """Whoever answers yes takes the `#` away, and has a checklist that validates, with that drill."""
    from gate.checklist.load import load_text

    text = propose(repository(tmp_path, app_py=PYTHON % ("/health", "pass"))).text
    head, _, comment = text.partition("  # Does /health of app fail when db is down?")
    lines = comment.partition("\n")[2].splitlines()
    taken = [line.replace("  # ", "  ", 1) for line in lines if not line.startswith("  # Does")]
    loaded = load_text("\n".join([head, *taken]), "prodgate.yml", {}).checklist
    assert [item.id for item in loaded.items if item.id.startswith("drills.")] == ["drills.db", "drills.cache"]


def test_the_drill_of_a_repository_with_all_parts(tmp_path: Path) -> None:
    """Endpoint, alert, liveness and deadlines come from the files."""
    mounts = [f"./ops/{name}:/etc/prometheus/{name}" for name in ("prometheus.yml", "rules.yml")]
    compose = (
        COMPOSE
        + f"""  exporter: {{image: "prometheuscommunity/postgres-exporter", expose: ["9187"]}}
  prometheus: {{image: "prom/prometheus:v3.5.0", volumes: {mounts}}}
  alertmanager:
    image: prom/alertmanager:v0.28.0
    command: [--config.file=/etc/am/am.yml]
    volumes: ["./ops/am.yml:/etc/am/am.yml"]
"""
    )
    config = """global: {scrape_interval: 5s, evaluation_interval: 10s}
rule_files: [rules.yml]
alerting: {alertmanagers: [{static_configs: [{targets: ["alertmanager:9093"]}]}]}
scrape_configs:
  - {job_name: postgres, static_configs: [{targets: ["exporter:9187"]}]}
"""
    rules = """groups:
  - name: database
    rules:
      - {alert: Slow, expr: 'rate(pg_stat_x[5m]) > 5'}
      - {alert: DatabaseDown, expr: "pg_up{job='postgres'} == 0", for: 30s, labels: {severity: critical}}
"""
    manager = """route:
  receiver: chat
  group_wait: 10s
  routes: [{matchers: ['severity="critical"'], receiver: pager}]
receivers: [{name: chat}, {name: pager, webhook_configs: [{url: "http://pager.example"}]}]
"""
    code = PYTHON % ("/readyz", "await db.ping()") + '\n@app.get("/livez")\nasync def live(): ...\n'
    files = {"compose.yml": compose, "Dockerfile": "FROM x\n", "app.py": code}
    drill = propose(
        write(
            tmp_path,
            {
                **files,
                **{
                    f"ops/{name}": text
                    for name, text in [("prometheus.yml", config), ("rules.yml", rules), ("am.yml", manager)]
                },
            },
        )
    ).drills["drills.db"]
    ready = {"target": "app", "path": "/readyz"}
    assert drill == {
        "fault": {"stop": "db"},
        "steady": [{"within": "10s", "http": {**ready, "status": 200}}],
        "observe": [
            {"within": "30s", "http": {**ready, "status": {"ge": 500}}},
            {"within": "60s", "alert": {"target": "prometheus", "name": "DatabaseDown", "state": "firing"}},
            {"within": "70s", "page": {"target": "alertmanager", "alert": "DatabaseDown", "receiver": "pager"}},
        ],
        "throughout": [{"http": {"target": "app", "path": "/livez", "status": 200}}],
        "recover": [{"within": "60s", "http": {**ready, "status": 200}}],
    }


def test_the_deadline_is_that_of_the_probe(tmp_path: Path) -> None:
    """The health check of the application says how soon it notices: interval times retries, and the timeout."""
    check = "healthcheck: {test: 'curl http://localhost:8000/readyz', interval: 10s, retries: 2, timeout: 3s}"
    compose = COMPOSE.replace('ports: ["8000:8000"]', f'ports: ["8000:8000"], {check}')
    files = {"compose.yml": compose, "Dockerfile": "FROM x\n", "app.py": PYTHON % ("/readyz", "db.ping()")}
    assert propose(write(tmp_path, files)).drills["drills.db"]["observe"][0]["within"] == "23s"
