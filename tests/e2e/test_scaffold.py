"""`prodgate init` on repositories laid out as public projects are: what it writes validates, and is what is there."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from gate.__main__ import main
from gate.checklist.load import load_text
from gate.checklist.models import Checklist
from tests.support import compose
from tests.support.paths import ROOT
from tests.support.repositories import propose, write
from tests.support.workflow_parser import errors
from tests.support.workflow_parser import package as package

RULES = """groups:
  - name: targets
    rules:
      - {alert: monitor_service_down, expr: up == 0, for: 30s, labels: {severity: critical}}
"""
SCRAPE = "global: {scrape_interval: 15s}\nscrape_configs:\n  - job_name: %s\n    static_configs: [{targets: ['%s']}]\n"

COMPOSED = {  # a Compose project and, for its tests, a service container with the same name and port
    "compose.yml": """services:
  web:
    build: .
    ports: ["8000:8000"]
    env_file: [ops/.env]
    environment: {URL: "postgres://shop:${POSTGRES_PASSWORD:?}@db/shop"}
    depends_on: [db]
  db: {image: "postgres:17", ports: ["5432:5432"], environment: {POSTGRES_PASSWORD: "${POSTGRES_PASSWORD:?}"}}
""",
    "ops/.env.example": "A=1\n",
    "Dockerfile": "FROM python:3\n",
    "app.py": '@app.get("/healthz")\ndef healthz(): ...\n',
    "requirements.txt": "pytest\n",
    "test_app.py": "def test_app(): ...\n",
    ".github/workflows/test.yml": """on: [push]
jobs:
  test:
    runs-on: ubuntu-latest
    services: {db: {image: "postgres:17", env: {POSTGRES_PASSWORD: test}, ports: ["5432:5432"]}}
    steps: [{uses: actions/checkout@v5}, {run: pytest}]
""",
}
MONITORING = {  # a monitoring stack: rules end in .rules, the services are images only
    "docker-compose.yml": """services:
  prometheus:
    image: prom/prometheus:v2.45.0
    expose: [9090]
    volumes: ["./prometheus:/etc/prometheus"]
    command: ["--config.file=/etc/prometheus/prometheus.yml", "--web.enable-lifecycle"]
  grafana:
    image: grafana/grafana:9.5.2
    environment:
      - GF_SECURITY_ADMIN_USER=${ADMIN_USER:-admin}
    expose: [3000]
""",
    "prometheus/prometheus.yml": SCRAPE % ("prometheus", "localhost:9090") + "rule_files: [alert.rules]\n",
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
  orders-db: {image: "mysql:${MYSQL:-8}", environment: ["MYSQL_ROOT_PASSWORD=$PASS", MYSQL_DATABASE=socksdb]}
  user.db: {image: "postgres:17", ports: ["5432"], environment: {POSTGRES_PASSWORD: , POSTGRES_DB: "a $b"}}
""",
    "deploy/docker-compose/prometheus.yml": SCRAPE % ("sockshop", "carts:80"),
    "deploy/kubernetes/manifests/carts-svc.yml": "apiVersion: v1\nkind: Service\nmetadata: {name: carts}\n",
    "deploy/kubernetes/rules.yml": "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nspec: {groups: []}\n",
}
GO = {  # Gin and the standard library; a Dockerfile that the classic builder can't make
    "go.mod": "module example.org/pets\n\ngo 1.23\n",
    "internal/http/health.go": """package http

func routes(r *gin.Engine, mux *http.ServeMux, group *gin.RouterGroup) {
\tmux.HandleFunc("GET /healthz", healthz)
\tv1 := r.Group("/api/v1")
\tv1.GET("/health", ok)
\tadmin := v1.Group("/admin")
\tadmin.GET("/ping", ping)
\tgroup.GET("/ready", ok)
\tr.GET("/metrics", gin.WrapH(promhttp.Handler()))
\thttp.Get(base + "/livez")
\t// r.GET("/alive", ok)
}
""",
    "internal/http/health_test.go": 'package http\n\nvar path = "/livez"\n',
    "Dockerfile": "FROM golang:1.23\nRUN --mount=type=cache,target=/root/.cache go build -o /pets .\nEXPOSE 8080\n",
    "compose.yaml": """services:
  pets: {build: {context: .}, ports: ["127.0.0.1:8080:8080/tcp"], depends_on: [redis]}
  redis: {image: "redis:7@sha256:%s"}
"""
    % ("0" * 64),
    "monitoring/alerts/pets.yaml": RULES,
    "tests/fixtures/rules.yml": RULES,
    "internal/chi.go": """package http

func serve() {
\tr := chi.NewRouter()
\tr.Get("/live", ok)
\tr.Route("/v2", func(r chi.Router) {
\t\tr.Get("/alive", ok)
\t})
}
""",
    "internal/options.go": 'var path = Field("/live", examples("/ready"))\n',
    "docs/runbooks/down.md": """# Down

## Symptoms

Nothing.

## Do: [now] "or" 'later' #1

Restart.

## Later
""",
}
FASTAPI = {  # a prefix that only the settings know, which the health check of the container tells; uv
    "backend/pyproject.toml": '[project]\nname = "api"\nrequires-python = ">=3.10"\n',
    "backend/uv.lock": "version = 1\n",
    "backend/app/main.py": """app = FastAPI()
app.include_router(api_router, prefix=settings.API_V1_STR)
app.include_router(live.router, prefix="/probes")
Instrumentator().instrument(app).expose(app)
""",
    "backend/app/api/main.py": """from app.api.routes import utils
api_router = APIRouter()
api_router.include_router(utils.router)
""",
    "backend/app/api/routes/utils.py": """router = APIRouter(prefix="/utils")


@router.get("/health-check/")
async def health(): ...
""",
    "backend/app/api/routes/live.py": 'router = APIRouter()\n\n\n@router.get("/live")\nasync def live(): ...\n',
    "backend/tests/test_api.py": "",
    "backend/Dockerfile": "FROM python:3.12\nCOPY . /app\n",
    ".env.example": "POSTGRES_USER=app\nPOSTGRES_PASSWORD=changethis # later\n",
    ".env": "POSTGRES_PASSWORD=only-on-this-laptop\n",
    "docker-compose.override.yml": "services:\n  db: {ports: ['5432:5432']}\n",
    "docker-compose.yml": """services:
  db: {image: "postgis/postgis:16-3.4", env_file: .env}
  backend:
    build: {context: ./backend}
    depends_on: {db: {condition: service_healthy}}
    environment:
      - DATABASE_URL=postgresql://app:${POSTGRES_PASSWORD?missing}@db/app
      - SECRET_KEY=${SECRET_KEY}
      - SENTRY_DSN=
    healthcheck: {test: ["CMD", "curl", "-f", "http://localhost:8000/api/v1/utils/health-check/"]}
""",
}
DJANGO = {  # URL configurations that include each other; the project's own test runner
    "manage.py": "",
    "requirements.txt": "django\n",
    "shop/urls.py": """urlpatterns = [
    path("api/", include("api.urls")),
    path("", include("django_prometheus.urls")),
    path("ht/", include("health_check.urls")),
]
""",
    "api/urls.py": 'urlpatterns = [path("healthz/", ok), re_path(r"^readyz/?$", ready), path("admin/", ok)]\n',
    "api/tests.py": "",
    "Dockerfile": "FROM python:3.12\nEXPOSE 8000\n",
}
NEST = {  # controllers under the application's prefix; routers of Express that hang in each other; Jest
    "package.json": '{"scripts": {"test": "jest"}, "private": true}',
    "package-lock.json": "{}",
    "src/main.ts": "const app = await NestFactory.create(AppModule);\napp.setGlobalPrefix('api');\n",
    "src/health/health.controller.ts": """@Controller('health')
export class HealthController {
  @Get()
  check() {}

  @Get('ready')
  ready() {}
}
""",
    "legacy/app.js": """const routes = require('./routes');
const app = express();
app.use('/v1', routes);
app.get('/metrics', send);
""",
    "legacy/routes/index.js": """const router = express.Router();
const health = require('./health.route');
router.use('/health', health);
""",
    "legacy/routes/health.route.js": "const router = express.Router();\nrouter.get('/', ok);\n",
    "legacy/Dockerfile": "FROM node:22\nEXPOSE 3001\n",
    "Dockerfile": "FROM node:22\nEXPOSE 3000\n",
}
SPRING = {  # the actuator; Maven; no image
    "pom.xml": """<project>
<artifactId>spring-boot-starter-actuator</artifactId>
<artifactId>micrometer-registry-prometheus</artifactId>
</project>
""",
    "mvnw": "",
    "src/main/resources/application.properties": "management.endpoints.web.exposure.include=*\n",
    "src/main/java/Api.java": """@RestController
@RequestMapping("/api")
public class Api {
  @GetMapping("/ping")
  String ping() { return ""; }
}
""",
    "src/test/java/ApiTests.java": "",
    "docker-compose.yml": """services:
  mysql:
    image: mysql:9.2
    ports: ["3306:3306"]
    environment: [MYSQL_ROOT_PASSWORD=, MYSQL_ALLOW_EMPTY_PASSWORD=true, MYSQL_USER=petclinic, MYSQL_PASSWORD=petclinic]
  postgres: {image: "postgres:17.5", environment: {POSTGRES_PASSWORD_FILE: /run/secrets/password}}
""",
}
RAILS = {
    "Gemfile": "",
    "bin/rails": "",
    "config/routes.rb": """Rails.application.routes.draw do
  get "up" => "rails/health#show", as: :rails_health_check
end
""",
    "test/models/pet_test.rb": "",
    "Dockerfile": "FROM ruby:3.4\nEXPOSE 80\n",
}
RUST = {
    "Cargo.toml": "[workspace]\n",
    "api/Cargo.toml": "[package]\n",
    "api/Dockerfile": "FROM rust\nEXPOSE 3000\n",
    "api/src/main.rs": """let app = Router::new().route("/healthz", get(ok));

#[get("/readyz")]
async fn ready() {}

#[tokio::test]
async fn works() {}
""",
}
HELM = {  # templates that are no YAML, folders with blanks and accents
    "charts/api/templates/rules.yaml": "groups:\n{{- range .Values.groups }}\n  - name: {{ .name }}\n{{- end }}\n",
    "ops/règles d'alerte/api rules.yml": RULES,
    "ops/règles d'alerte/api-rules.yml": RULES,
    "package.json": '{"scripts": {"test": "echo \\"Error: no test specified\\" && exit 1"}}',
    "src/server.ts": "app.get('/api/health', ok)\napp.get(`/ready`, ok)\n",
}
LAYOUTS = {
    "monitoring": MONITORING, "shop": SHOP, "go": GO, "fastapi": FASTAPI, "django": DJANGO, "nest": NEST,
    "spring": SPRING, "rails": RAILS, "rust": RUST, "helm": HELM, "empty": {},
}  # fmt: skip


def begun(root: Path, files: dict[str, str]) -> tuple[Checklist, str]:
    """Run `prodgate init` on these files and return the loaded checklist and the workflow."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert main(["init", str(root)]) == 0
    written = load_text((root / "prodgate.yml").read_text(), "prodgate.yml", {})
    return written.checklist, (root / ".github" / "workflows" / "prodgate.yml").read_text()


def prodgate(root: Path, *words: str) -> tuple[int, str]:
    """Run the program in a repository and return its exit code and output."""
    command = [sys.executable, "-m", "gate", *words]
    environment = {"PATH": os.environ["PATH"], "HOME": str(root), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def job(workflow: str) -> dict[str, Any]:
    """Return the only job of a workflow."""
    found: dict[str, Any] = yaml.safe_load(workflow)["jobs"]["gate"]
    return found


def ids(checklist: Checklist) -> list[str]:
    """Return the ids of all items."""
    return [item.id for item in checklist.items]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_written_validates(layout: str, package: Path, tmp_path: Path) -> None:
    """The program takes the checklist and can plan its run, and GitHub's parser takes the workflow."""
    _, workflow = begun(tmp_path, LAYOUTS[layout])
    for command in ("validate", "plan"):
        code, text = prodgate(tmp_path, command)
        assert code == 0, text
    assert errors(package, {"prodgate.yml": workflow}) == {"prodgate.yml": []}
    assert "${" not in json.dumps(job(workflow)).replace("${{", "")


@pytest.mark.parametrize("options", [["--compose"], ["--compose", "--job-network"]])
def test_a_compose_project_is_read_by_compose(options: list[str], package: Path, tmp_path: Path) -> None:
    """Compose reads the files of the workflow's step with its variables, and the checklist names its services."""
    root = write(tmp_path, COMPOSED)
    assert main(["init", *options, str(root)]) == 0
    for command in ("validate", "plan"):
        code, text = prodgate(tmp_path, command)
        assert code == 0, text
    workflow = (root / ".github/workflows/prodgate.yml").read_text()
    assert errors(package, {"prodgate.yml": workflow}) == {"prodgate.yml": []}
    step = next(step for step in job(workflow)["steps"] if step.get("name") == "Compose project")
    variables = {name: value.replace("${{ job.container.network }}", "job") for name, value in step["env"].items()}
    script = step["run"].replace("docker compose", str(compose.fetch() / "docker-compose"))
    command = ["bash", "-e", "-c", script.replace("up --detach --wait", "config --format json")]
    read = subprocess.run(command, cwd=root, env={"PATH": os.environ["PATH"], **variables},
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert read.returncode == 0, read.stderr
    project = json.loads(read.stdout)
    checklist = load_text((root / "prodgate.yml").read_text(), "prodgate.yml", {}).checklist
    assert {target.service for target in checklist.targets.values()} == {"web", "db"} <= project["services"].keys()
    assert "ports" not in project["services"]["db"]
    assert project["services"]["web"]["environment"] == {"A": "1", "URL": "postgres://shop:prodgate@db/shop"}
    assert (project["networks"]["default"]["name"] == "job") is ("--job-network" in options)


@pytest.mark.parametrize("layout", ["monitoring", "shop", "go", "helm"])
def test_what_needs_no_service_runs(layout: str, tmp_path: Path) -> None:
    """Of the files that were found nothing fails: their items pass at once."""
    checklist, _ = begun(tmp_path, LAYOUTS[layout])
    chosen = [item.id for item in checklist.items if item.check.kind in ("alert_rules", "scrape_config", "document")]
    code, text = prodgate(tmp_path, "run", f"--only={','.join(chosen)}")
    assert code == 0, text
    assert chosen, text


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """A second time, everything is as the first time, or as somebody has made it since."""
    begun(tmp_path, GO)
    (tmp_path / "prodgate.yml").write_text("mine\n")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert main(["init", str(tmp_path)]) == 0
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_nothing_found(tmp_path: Path) -> None:
    """An empty start says what to add, and is a NO-GO until something is: nothing to check is no GO."""
    begun(tmp_path, {"README.md": "# Mine\n"})
    text = (tmp_path / "prodgate.yml").read_text()
    assert "was found in this repository" not in text
    assert "Begin with" in text
    assert prodgate(tmp_path, "run")[0] == 1


ITEMS = {
    "monitoring": ["metrics.prometheus", "scrape.prometheus", "rules.alert", "loaded.alert"],
    "shop": ["services.carts-db", "services.orders-db", "services.user.db", "scrape.sockshop"],
    "go": ["services.redis", "health.healthz", "health.live", "health.health", "health.ping", "metrics.pets",
           "rules.pets", "runbook.down", "tests.go"],
    "fastapi": ["services.db", "health.health-check", "health.live", "metrics.backend", "tests.backend.pytest"],
    "django": ["health.ht", "health.healthz", "health.readyz", "metrics.api", "tests.django"],
    "nest": ["health.api.health", "health.api.ready", "health.legacy.health", "metrics.legacy", "tests.node"],
    "spring": ["services.mysql", "services.postgres", "tests.maven"],
    "rails": ["health.up", "tests.ruby"],
    "rust": ["health.healthz", "health.readyz", "tests.cargo"],
    "helm": ["rules.api-rules", "rules.api-rules-2"],
    "empty": ["first.item"],
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_found(layout: str, tmp_path: Path) -> None:
    """Services, endpoints, rules, jobs, runbooks and tests are found where projects keep them; nothing else is."""
    assert sorted(ids(begun(tmp_path, LAYOUTS[layout])[0])) == sorted(ITEMS[layout])


@pytest.mark.parametrize(
    ("layout", "told"),
    [
        (
            "shop",
            "catalogue-db: its image is ${DB_REGISTRY:-docker.io}/mysql:${MYSQL_TAG}, which nothing here resolves",
        ),
        ("go", "…/ready (internal/http/health.go:9): nothing here says under which path its router hangs"),
        ("go", "…/alive (internal/chi.go:7)"),
        ("go", "whether monitoring/alerts/pets.yaml is loaded"),
        ("go", "without text so far, and not asked for: Later"),
        ("spring", "/actuator/health (pom.xml:2): nothing here says how it is built"),
        ("spring", "/actuator/prometheus (pom.xml:3)"),
        ("spring", "/api/ping (src/main/java/Api.java:4)"),
        ("helm", "/ready (src/server.ts:2)"),
    ],
)
def test_what_is_left_out_is_said(layout: str, told: str, tmp_path: Path) -> None:
    """What was found and can't be asked stands in a comment, with what is missing."""
    begun(tmp_path, LAYOUTS[layout])
    assert told in (tmp_path / "prodgate.yml").read_text()


def test_compose_files_of_several_services(tmp_path: Path) -> None:
    """Services side by side are each asked, also for the same path; one of which nothing is known to ask is named."""
    files = {
        "services/a/compose.yml": "services: {a: {build: ., ports: ['8080']}, cache: {image: 'redis:7'}}\n",
        "services/a/app.py": 'app.route("/healthz")\n',
        "services/b/compose.yml": "services: {b: {build: ., ports: ['8081']}, queue: {image: 'rabbitmq:4'}}\n",
        "services/b/app.py": 'app.route("/healthz")\n',
        "services/c/compose.yml": "services: {c: {build: ., expose: ['8082']}}\n",
        "services/c/app.py": "print()\n",
    }
    checklist, _ = begun(tmp_path, files)
    assert sorted(checklist.targets) == ["a", "b", "cache", "queue"]
    assert {"health.a.healthz", "health.b.healthz"} <= set(ids(checklist))
    told = "#   the service c (services/c/Dockerfile): nothing here says what it answers\n"
    assert told in (tmp_path / "prodgate.yml").read_text()


def test_two_services_of_one_name(tmp_path: Path) -> None:
    """Of two services of one name one is taken, and what was left out is said, with its file."""
    files = {
        "compose.yml": "services: {db: {image: 'postgres:17'}}\n",
        "legacy/compose.yml": "services: {db: {image: 'mysql:8', environment: {MYSQL_ROOT_PASSWORD: a}}}\n",
    }
    checklist, _ = begun(tmp_path, files)
    assert list(checklist.targets) == ["db"]
    told = "#   other Compose projects than compose.yml: legacy/compose.yml (db)\n"
    assert told in (tmp_path / "prodgate.yml").read_text()


def test_services_of_the_workflow(tmp_path: Path) -> None:
    """The stores of the Compose file are the services, where their images are known, with passwords that start them."""
    services = job(begun(tmp_path, SHOP)[1])["services"]
    assert {name: (service["image"], service.get("env")) for name, service in services.items()} == {
        "carts-db": ("mongo:3.4", None),
        "orders-db": ("mysql:8", {"MYSQL_ROOT_PASSWORD": "prodgate", "MYSQL_DATABASE": "socksdb"}),
        "user.db": ("postgres:17", {"POSTGRES_PASSWORD": "prodgate"}),
    }


def test_passwords(tmp_path: Path) -> None:
    """An image gets the password without which it does not start, unless it is told to do without one."""
    services = job(begun(tmp_path, SPRING)[1])["services"]
    assert services["postgres"]["env"] == {"POSTGRES_PASSWORD": "prodgate"}
    assert "MYSQL_ROOT_PASSWORD" not in services["mysql"]["env"] or not services["mysql"]["env"]["MYSQL_ROOT_PASSWORD"]
    assert services["mysql"]["ports"] == ["3306:3306"]


def test_both_sides_have_one_password(tmp_path: Path) -> None:
    """The database and what is built get the same variables, from the committed example; never from somebody's own."""
    checklist, workflow = begun(tmp_path, FASTAPI)
    assert job(workflow)["services"]["db"]["env"] == {
        "POSTGRES_USER": "app", "POSTGRES_PASSWORD": "changethis", "POSTGRES_DB": "app",
    }  # fmt: skip
    start = checklist.targets["backend"].start
    assert start
    assert start.environment["DATABASE_URL"] == "postgresql://app:changethis@db/app"
    assert (start.build, start.environment["SECRET_KEY"], checklist.targets["backend"].after) == (
        "backend", "prodgate", ["db"],
    )  # fmt: skip
    assert "only-on-this-laptop" not in workflow + (tmp_path / "prodgate.yml").read_text()


def test_an_image_that_needs_buildkit(tmp_path: Path) -> None:
    """What the engine's classic builder can't make is built in a step before the gate, which starts that image."""
    checklist, workflow = begun(tmp_path, GO)
    assert checklist.targets["pets"].start
    assert checklist.targets["pets"].start.image == "pets:prodgate"
    (step,) = [step for step in job(workflow)["steps"] if "docker build" in step.get("run", "")]
    assert step["run"] == "docker build --tag pets:prodgate --file Dockerfile ."


def test_a_service_with_a_command(tmp_path: Path) -> None:
    """A workflow's service has no command: one that needs it is started by the gate."""
    compose = """services:
  api: {build: ., ports: ["80"], depends_on: [queue]}
  queue: {image: "redis:7", command: "redis-server --requirepass ${QUEUE_PASSWORD}"}
"""
    files = {"compose.yml": compose, "Dockerfile": "FROM x\n", "app.py": 'app.route("/healthz")\n'}
    checklist, workflow = begun(tmp_path, files)
    queue = checklist.targets["queue"]
    assert queue.start
    assert queue.start.command == ["redis-server", "--requirepass", "prodgate"]
    assert "services" not in job(workflow)


@pytest.mark.parametrize(
    ("volume", "copied"),
    [
        ("./ops/prometheus.yml:/etc/prometheus/prometheus.yml", ("ops/prometheus.yml", "/etc/prometheus")),
        ("./ops:/etc/prometheus/", ("ops", "/etc/prometheus")),
        ("./ops/other.yml:/etc/prometheus/prometheus.yml", None),
    ],
)
def test_the_files_of_prometheus(volume: str, copied: tuple[str, str] | None, tmp_path: Path) -> None:
    """What Compose mounts is copied; what would need another name in the container can't be, and is said."""
    volumes = f"['{volume}', './ops/rules:/etc/prometheus/rules']"
    compose = f"services:\n  prometheus: {{image: prom/prometheus, volumes: {volumes}}}\n"
    name = volume.split(":")[0].removeprefix("./")
    config = f"{name}/prometheus.yml" if name == "ops" else name
    files = {"compose.yml": compose, config: SCRAPE % ("a", "b:1"), "ops/rules/a.yml": RULES}
    checklist, _ = begun(tmp_path, files)
    if copied is None:
        assert checklist.targets == {}
        assert "no configuration was found that can be put" in (tmp_path / "prodgate.yml").read_text()
        return
    first, *_, last = [*checklist.targets["prometheus"].provision, checklist.targets["prometheus"].provision[-1]]
    assert ((first.source, first.to), last.signal) == (copied, "HUP")


STEPS = {
    "go": ["code=0; go test -json ./... > prodgate-tests.go.json || code=$?; echo $code > prodgate-tests.go.exit"],
    "fastapi": [
        "uv sync --all-extras",
        "code=0; uv run --with pytest python -m pytest --junitxml=prodgate-tests.pytest.xml || code=$?; "
        "echo $code > prodgate-tests.pytest.exit",
    ],
    "django": [
        "python -m pip install --upgrade pip",
        "python -m pip install -r requirements.txt unittest-xml-reporting",
        "code=0; python manage.py test --testrunner=xmlrunner.extra.djangotestrunner.XMLTestRunner || code=$?; "
        "echo $code > prodgate-tests.django.exit",
    ],
    "spring": ["code=0; sh ./mvnw --batch-mode --fail-at-end test || code=$?; echo $code > prodgate-tests.maven.exit"],
}


@pytest.mark.parametrize("layout", STEPS)
def test_the_steps_of_tests(layout: str, tmp_path: Path) -> None:
    """Tests run in a step before the gate, with what their project needs, and do not end the job."""
    steps = job(begun(tmp_path, LAYOUTS[layout])[1])["steps"]
    (step,) = [step for step in steps if step.get("name", "").startswith("Tests (")]
    assert step["run"].splitlines() == STEPS[layout]
    assert step["continue-on-error"] is True
    assert steps.index(step) < next(
        number for number, each in enumerate(steps) if "prodgate-action" in each.get("uses", "")
    )


def left(root: Path, files: dict[str, str], **programs: str) -> tuple[int, str]:
    """Run the steps of the suites with these programs as the tools, then the gate; return its exit code and output."""
    _, workflow = begun(root, files)
    steps = [step for step in job(workflow)["steps"] if "run" in step]
    assert steps
    folder = root / "bin"
    folder.mkdir()
    for name, script in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    environment = {"PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(root), "RUNNER_TEMP": str(root)}
    for step in steps:
        where = root / step.get("working-directory", ".")
        subprocess.run(["bash", "-e", "-c", step["run"]], cwd=where, env=environment, check=False)
    return prodgate(root, "run", "--only", "tests")


NODE_PARENT = """const test = require('node:test')
test('parent', async (t) => {
  await t.test('kid', () => {})
  throw new Error('parent broke')
})
"""


@pytest.mark.parametrize(
    ("script", "test", "passes"),
    [
        ("node --test", "require('node:test').test('cart is empty', () => {})\n", True),
        ("node --test && node -e 0", "require('node:test').test('cart is empty', () => {})\n", True),
        ("node -e 'process.exit(3)'", "", False),
        ("node --test", NODE_PARENT, False),
        ("node --test", "require('./not-there')\n", False),
    ],
    ids=["passes", "two commands", "no test program", "parent fails", "can't be loaded"],
)
def test_results_are_left(script: str, test: str, passes: bool, tmp_path: Path) -> None:
    """What the step of a suite leaves is what the item reads: a pass is one, and a failure is one."""
    package = json.dumps({"name": "cart", "scripts": {"test": script}})
    code, text = left(tmp_path, {"web/package.json": package, "web/cart.test.js": test})
    assert code == (0 if passes else 1), text


EVENTS = [{"Action": "run", "Test": "T"}, {"Action": "pass", "Test": "T"}, {"Action": "pass"}]


def tool(path: str, text: str = "<testsuite><testcase name='a'/></testsuite>") -> str:
    """Return a test program that writes one passing test and exits with CODE."""
    return f"mkdir -p $(dirname {path}); echo {shlex.quote(text)} > {path}; exit CODE"


def after(word: str, path: str) -> str:
    """Return a program that does nothing if its first argument is `word`, and otherwise is a test program."""
    return f'[ "$1" = {word} ] && exit 0; {tool(path)}'


XML = "prodgate-tests.node.xml"
# Suites, and the stand-ins of their tools.
UNLOADED: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "go": (
        {"go.mod": "module x\n", "x_test.go": ""},
        {"go": tool("/dev/stdout", "\n".join(json.dumps({**event, "Package": "p"}) for event in EVENTS))},
    ),
    "pytest": (
        {"pyproject.toml": "", "uv.lock": "", "test_a.py": ""},
        {"uv": after("sync", "prodgate-tests.pytest.xml")},
    ),
    "django": ({"manage.py": "", "uv.lock": "", "tests.py": ""}, {"uv": after("sync", "TEST-a.xml")}),
    "jest": ({"package.json": '{"scripts": {"test": "jest"}}'}, {"npm": after("install", XML)}),
    "vitest": ({"package.json": '{"scripts": {"test": "vitest"}}'}, {"npm": after("install", XML)}),
    "mocha": ({"package.json": '{"scripts": {"test": "mocha"}}'}, {"npm": after("install", XML)}),
    "maven": ({"pom.xml": "", "src/test/java/A.java": ""}, {"mvn": tool("target/surefire-reports/TEST-a.xml")}),
    "gradle": ({"build.gradle": "", "src/test/A.java": ""}, {"gradle": tool("build/test-results/test/TEST-a.xml")}),
    "phpunit": (
        {"composer.json": "", "phpunit.xml": ""},
        {"composer": "mkdir -p vendor/bin; cp bin/phpunit vendor/bin", "phpunit": tool("prodgate-tests.phpunit.xml")},
    ),
    "cargo": ({"Cargo.toml": "", "src/lib.rs": "#[test]\nfn a() {}\n"}, {"cargo": "exit CODE"}),
    "ruby": ({"Gemfile": "", "a_spec.rb": ""}, {"bundle": "exit CODE"}),
    "dotnet": ({"a.sln": "", "a.csproj": "Microsoft.NET.Test.Sdk"}, {"dotnet": "exit CODE"}),
}


@pytest.mark.parametrize("code", [0, 1])
@pytest.mark.parametrize("suite", UNLOADED)
def test_a_suite_that_is_in_no_report(suite: str, code: int, tmp_path: Path) -> None:
    """A tool that ends badly, and leaves nothing that fails in its report, is no pass."""
    files, programs = UNLOADED[suite]
    found, text = left(tmp_path, files, **{name: each.replace("CODE", str(code)) for name, each in programs.items()})
    assert found == code, text


def test_two_tools_in_one_folder(tmp_path: Path) -> None:
    """Each tool's tests leave files of their own: those that fail are not hidden by others that pass after them."""
    files = {"Cargo.toml": "", "src/lib.rs": "#[test]\nfn a() {}\n", "Gemfile": "", "a_spec.rb": ""}
    found, text = left(tmp_path, files, cargo="exit 1", bundle="exit 0")
    assert found == 1, text


def test_hostile_names(package: Path, tmp_path: Path) -> None:
    """Names of files and services that mean something in YAML, in a shell or to GitHub stay names."""
    compose = r"""services:
  "db: {x}": {image: "redis:7"}
  db: {image: "redis:7", environment: {A: "$${{ secrets.X }}", B: "*a: [b] #"}}
"""
    files = {
        "compose.yml": compose,
        "a: b #c/$(touch x)/go.mod": "module x\n",
        "a: b #c/$(touch x)/x_test.go": "",
        "ops/[a].yml": RULES,
        "ops/a\nb.yml": RULES,
    }
    checklist, workflow = begun(tmp_path, files)
    assert errors(package, {"prodgate.yml": workflow}) == {"prodgate.yml": []}
    assert ids(checklist) == ["services.db", "tests.touch-x.go"]
    assert "${{ secrets.X }}" not in workflow
    assert [step["working-directory"] for step in job(workflow)["steps"] if "run" in step] == ["a: b #c/$(touch x)"]


def test_a_folder_below_the_root(tmp_path: Path) -> None:
    """The checklist is in the folder, with paths from the root; the workflow is where GitHub reads it."""
    files = {"services/api/Dockerfile": "FROM x\nEXPOSE 80\n", "services/api/app.py": 'app.route("/healthz")\n'}
    write(tmp_path, {**files, "services/other/Dockerfile": "FROM x\nEXPOSE 80\n"})
    assert main(["init", str(tmp_path / "services" / "api")]) == 0
    text = (tmp_path / "services" / "api" / "prodgate.yml").read_text()
    workflow = (tmp_path / ".github" / "workflows" / "prodgate-api.yml").read_text()
    assert "build: services/api\n" in text
    assert "file: services/api/prodgate.yml, baseline: base, context: prodgate/api" in workflow
    assert prodgate(tmp_path, "validate", "--file", "services/api/prodgate.yml")[0] == 0


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        ('r.HandleFunc(baseUrl+"/_healthz", h)', "#   …/_healthz (main.go:1)"),
        ('base := os.Getenv("BASE")\nr.HandleFunc(base+"/_healthz", h)', "path: /_healthz"),
        ('const base = "/api"\nr.HandleFunc(base + "/_healthz", h)', "path: /api/_healthz"),
        ('r.HandleFunc(s.prefixed("/readyz"), h)', "#   …/readyz (main.go:1)"),
    ],
)
def test_a_route_behind_an_expression(route: str, expected: str, tmp_path: Path) -> None:
    """It is found if the file says what the expression is, and named otherwise."""
    write(tmp_path, {"main.go": f"{route}\n", "Dockerfile": "FROM golang\nEXPOSE 8080\n"})
    assert expected in propose(tmp_path).text


def test_the_summary(tmp_path: Path) -> None:
    """It says what was found, what not, what will fail first, and what to do next."""
    lines = propose(write(tmp_path, {"go.mod": "module x\n", "a_test.go": "", "vendor/a.go": ""})).summary.splitlines()
    assert lines[:2] == ["Found:", "  tests      go in ., a guess"]
    assert lines[2].startswith("Not found: a service that is built from this commit, a health endpoint")
    assert lines[3] == "Left out: 1 thing, each with its reason at the top of prodgate.yml"
    assert lines[4:] == [
        "Probably the first to fail: the tests of . (go): no workflow runs them, so their command is a guess",
        "Next:",
        "  prodgate validate",
        "  prodgate plan",
        "  prodgate run",
    ]


def test_metrics_of_something_else_are_no_exposition(tmp_path: Path) -> None:
    """A path named `metrics` whose handler says nothing of Prometheus is named, and nothing waits for it."""
    code = (
        '@app.get("/api/metrics")\ndef usage():\n    return {"users": 3}\n\n\n@app.get("/status")\ndef status(): ...\n'
    )
    proposal = propose(write(tmp_path, {"app.py": code, "Dockerfile": "FROM x\nEXPOSE 80\n"}))
    assert "/api/metrics (app.py:1): its handler says nothing of Prometheus" in proposal.notes
    assert "ready: {path: /status, within: 2m}" in proposal.text


def test_a_target_is_ready_without_its_metrics(tmp_path: Path) -> None:
    """If there is another endpoint, readiness does not wait for metrics, which may need a key."""
    metrics = '@app.get("/metrics")\ndef metrics():\n    return generate_latest()\n\n\n'
    code = metrics + '@app.get("/status")\ndef status(): ...\n'
    proposal = propose(write(tmp_path, {"app.py": code, "Dockerfile": "FROM x\nEXPOSE 80\n"}))
    assert "ready: {path: /status, within: 2m}" in proposal.text
