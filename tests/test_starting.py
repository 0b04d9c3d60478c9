"""`prodgate init` on repositories laid out as public projects are: what it writes validates, and GitHub takes it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from gate.__main__ import main
from gate.checklist.load import load_text
from gate.checklist.models import Checklist
from tests.test_workflows import errors
from tests.test_workflows import package as package

RULES = """groups:
  - name: targets
    rules:
      - {alert: monitor_service_down, expr: up == 0, for: 30s, labels: {severity: critical}}
"""
SCRAPE = "global: {scrape_interval: 15s}\nscrape_configs:\n  - job_name: %s\n    static_configs: [{targets: ['%s']}]\n"

MONITORING = {  # rules end in .rules, the services are images only
    "docker-compose.yml": """services:
  prometheus: {image: "prom/prometheus:v2.45.0", expose: [9090], volumes: ["./prometheus:/etc/prometheus"]}
  grafana:
    image: grafana/grafana:9.5.2
    environment:
      - GF_SECURITY_ADMIN_USER=${ADMIN_USER:-admin}
    expose: [3000]
""",
    "prometheus/prometheus.yml": SCRAPE % ("prometheus", "localhost:9090"),
    "prometheus/alert.rules": RULES,
    "README.md": "# Monitoring\n",
}
SHOP = {  # many services, databases whose image or password is a variable
    "deploy/docker-compose/docker-compose.yml": """version: '2'
services:
  front-end: {image: "weaveworksdemos/front-end:0.3.12", restart: always}
  carts-db: {image: "mongo:3.4"}
  catalogue-db:
    image: "${DB_REGISTRY:-docker.io}/mysql:${MYSQL_TAG}"
    environment: ["MYSQL_ROOT_PASSWORD=${MYSQL_ROOT_PASSWORD}", MYSQL_DATABASE=socksdb]
  user.db: {image: "postgres:17", ports: ["5432"], environment: {POSTGRES_PASSWORD: , POSTGRES_DB: "a $b"}}
""",
    "deploy/docker-compose/prometheus.yml": SCRAPE % ("sockshop", "carts:80"),
    "deploy/kubernetes/manifests/carts-svc.yml": "apiVersion: v1\nkind: Service\nmetadata: {name: carts}\n",
}
GO = {
    "go.mod": "module example.org/pets\n\ngo 1.23\n",
    "internal/http/health.go": 'package http\n\nfunc init() {\n\tGet("/healthz", ok)\n\tGet("/readyz", ok)\n}\n',
    "internal/http/health_test.go": 'package http\n\nvar path = "/livez"\n',
    "compose.yaml": """services:
  pets: {build: {context: .}, ports: ["127.0.0.1:8080:8080/tcp"], depends_on: [redis]}
  redis: {image: "redis:7@sha256:%s"}
"""
    % ("0" * 64),
    "monitoring/alerts/pets.yaml": RULES,
    "docs/runbooks/down.md": "# Down\n\n## Symptoms\n\nNothing.\n\n## Do: [now] \"or\" 'later' #1\n\nRestart.\n",
}
PYTHON = {
    "pyproject.toml": '[project]\nname = "api"\n',
    "app/main.py": '@app.get("/health")\ndef health(): ...\n\n@app.get("/metrics")\ndef metrics(): ...\n',
    "tests/test_api.py": "",
    "docker-compose.yml": "services:\n  web: {build: ., expose: ['8000']}\n  db: {image: postgis/postgis:16-3.4}\n",
}
HELM = {  # templates that are no YAML, folders with blanks and accents
    "charts/api/templates/rules.yaml": "groups:\n{{- range .Values.groups }}\n  - name: {{ .name }}\n{{- end }}\n",
    "ops/règles d'alerte/api rules.yml": RULES,
    "ops/règles d'alerte/api-rules.yml": RULES,
    "package.json": '{"scripts": {"test": "jest"}}',
    "src/server.ts": "app.get('/api/health', ok)\napp.get(`/ready`, ok)\n",
}
LAYOUTS = {"monitoring": MONITORING, "shop": SHOP, "go": GO, "python": PYTHON, "helm": HELM}


def begun(root: Path, files: dict[str, str]) -> tuple[Checklist, str]:
    """What `prodgate init` writes for these files: the checklist, as it is loaded, and the workflow."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert main(["init", str(root)]) == 0
    written = load_text((root / "prodgate.yml").read_text(), "prodgate.yml", {})
    return written.checklist, (root / ".github" / "workflows" / "prodgate.yml").read_text()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_written_validates(layout: str, package: Path, tmp_path: Path) -> None:
    """The checklist loads, GitHub's parser takes the workflow, and no image or value of it is a variable of Compose."""
    checklist, workflow = begun(tmp_path, LAYOUTS[layout])
    assert checklist.sections
    assert errors(package, {"prodgate.yml": workflow}) == {"prodgate.yml": []}
    assert "${" not in workflow


def kinds(checklist: Checklist) -> list[str]:
    return sorted(item.check.kind for section in checklist.sections for item in section.items)


@pytest.mark.parametrize(
    ("layout", "found"),
    [
        ("monitoring", ["alert_rules", "loaded_rules", "scrape_config"]),
        ("shop", ["scrape_config"]),
        ("go", ["alert_rules", "command", "document", "http", "http", "loaded_rules"]),
        ("python", ["command", "http", "metrics"]),
        ("helm", ["alert_rules", "alert_rules", "command", "http", "http", "loaded_rules", "loaded_rules"]),
    ],
)
def test_what_is_found(layout: str, found: list[str], tmp_path: Path) -> None:
    """Rules, jobs, endpoints, runbooks and tests are found where these projects keep them, and nothing else."""
    assert kinds(begun(tmp_path, LAYOUTS[layout])[0]) == found


def test_services_of_the_workflow(tmp_path: Path) -> None:
    """The stores of the Compose file are the services, as far as their images are known."""
    services = yaml.safe_load(begun(tmp_path, SHOP)[1])["jobs"]["gate"]["services"]
    assert {name: service["image"] for name, service in services.items()} == {
        "carts-db": "mongo:3.4",
        "user.db": "postgres:17",
    }
