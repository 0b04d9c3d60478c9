"""What the tests run against comes up, answers, and is gone afterwards."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Callable

import psycopg
import pytest

from tests.support import engine, images
from tests.support.services import Postgres, Service, answers, postgres_running, redis_running

CONFIG = "global: {scrape_interval: 1s}\nrule_files: [rules.yml]\n"
VERSIONS = {
    "postgres": "postgres",
    "redis": "redis-server",
    "prometheus": "prometheus",
    "alertmanager": "prometheus-alertmanager",
}
RULES = "groups: [{name: g, rules: [{alert: A, expr: vector(1)}]}]"


def test_postgres(postgres: Postgres) -> None:
    """PostgreSQL answers a query."""
    with psycopg.connect(postgres.dsn) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_database_of_its_own() -> None:
    """A database can be asked for by name, and nothing is left of the server afterwards."""
    with postgres_running("veza") as service, psycopg.connect(service.dsn) as connection:
        assert connection.info.dbname == "veza"
    assert not service.folder.exists()
    assert service.process is None


def test_redis() -> None:
    """Redis comes up, can be stopped and started again."""
    with redis_running() as service:
        service.stop()
        service.start()
        service.wait(lambda: "Ready to accept" in service.log.rpartition("User requested shutdown")[2])


def test_prometheus(prometheus: Callable[..., Service]) -> None:
    """Prometheus comes up with the rules that it is given."""
    service = prometheus(CONFIG, RULES)
    with urllib.request.urlopen(f"{service.url}/api/v1/rules") as response:
        assert [group["name"] for group in json.load(response)["data"]["groups"]] == ["g"]


def test_a_service_that_does_not_come_up(prometheus: Callable[..., Service]) -> None:
    """The error holds the service's own words."""
    with pytest.raises(RuntimeError, match="no_such_key"):
        prometheus("no_such_key: 1\n")


@pytest.mark.engine
@pytest.mark.parametrize("name", images.SERVICES)
def test_images(name: str) -> None:
    """Each service's image runs its program."""
    engine.up()
    done = subprocess.run(
        [
            "docker",
            "run",
            "--rm",
            "--entrypoint=/bin/sh",
            images.service(name),
            "-c",
            f"PATH=$PATH:$(echo /usr/lib/postgresql/*/bin); {VERSIONS[name]} --version",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert name in (done.stdout + done.stderr).lower()


def test_nobody_answers() -> None:
    """An address where nobody listens does not answer."""
    assert not answers("http://127.0.0.1:1/")
