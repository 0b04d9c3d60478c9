"""A database and its clients have one user, one password and one database, whichever side says it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.repositories import propose, write

APP = "build: ., ports: ['8000:8000'], healthcheck: {test: curl http://localhost:8000/health}"


def services(database: str, app: str, name: str = "db") -> dict[str, str]:
    """Return a repository with a database and an application."""
    compose = f"services:\n  {name}: {{{database}}}\n  app: {{{APP}, {app}}}\n"
    return {"compose.yml": compose, "Dockerfile": "FROM x\n"}


@pytest.mark.parametrize(
    ("database", "app", "expected"),
    [
        (
            "image: 'postgres:17'",
            "environment: {URL: 'postgresql+asyncpg://u:p@db/x'}",
            {"POSTGRES_USER": "u", "POSTGRES_PASSWORD": "p", "POSTGRES_DB": "x"},
        ),
        (
            "image: 'postgres:17', environment: {POSTGRES_PASSWORD: own}",
            "environment: {URL: 'postgres://u:p@db:5432/x?sslmode=disable'}",
            {"POSTGRES_USER": "u", "POSTGRES_PASSWORD": "own", "POSTGRES_DB": "x"},
        ),
        (
            "image: 'mysql:8'",
            "environment: [DB_HOST=db, DB_USERNAME=u, DB_PASSWORD=p, DB_DATABASE=x]",
            {"MYSQL_USER": "u", "MYSQL_PASSWORD": "p", "MYSQL_DATABASE": "x", "MYSQL_ROOT_PASSWORD": "p"},
        ),
        (
            "image: 'mysql:8'",
            "environment: {URL: 'mysql://root:p@db/x'}",
            {"MYSQL_DATABASE": "x", "MYSQL_ROOT_PASSWORD": "p"},
        ),
        ("image: 'postgres:17'", "depends_on: [db]", {"POSTGRES_PASSWORD": "prodgate"}),
        (
            "image: 'mongo:7'",
            "environment: {URL: 'mongodb://u:p@db:27017/x'}",
            {"MONGO_INITDB_ROOT_USERNAME": "u", "MONGO_INITDB_ROOT_PASSWORD": "p", "MONGO_INITDB_DATABASE": "x"},
        ),
        (
            "image: 'rabbitmq:4'",
            "environment: {URL: 'amqp://u:p@db:5672/x'}",
            {"RABBITMQ_DEFAULT_USER": "u", "RABBITMQ_DEFAULT_PASS": "p"},
        ),
        (
            "image: 'mcr.microsoft.com/mssql/server:2022-latest'",
            "depends_on: [db]",
            {"MSSQL_SA_PASSWORD": "prodgate", "ACCEPT_EULA": "Y"},
        ),
    ],
)
def test_the_database_has_what_its_clients_use(
    database: str, app: str, expected: dict[str, str], tmp_path: Path
) -> None:
    """What the database does not say comes from its client's URL or variables; what it says stays."""
    assert propose(write(tmp_path, services(database, app))).job["services"]["db"]["env"] == expected


def test_a_client_on_somebodys_own_machine_is_led_to_the_database(tmp_path: Path) -> None:
    """`localhost` of an example is the service, and an empty password the database's; a mail server stays."""
    files = services("image: 'postgres:17', environment: {POSTGRES_PASSWORD: p}", "env_file: .env, depends_on: [db]")
    files[".env.example"] = (
        "URL=postgres://u:p@localhost:5432/x\nDB_HOST=127.0.0.1\nDB_PASSWORD=\nMAIL_HOST=localhost\n"
    )
    assert propose(write(tmp_path, files)).environment("app") == {
        "URL": "postgres://u:p@db:5432/x",
        "DB_HOST": "db",
        "DB_PASSWORD": "p",
        "MAIL_HOST": "localhost",
    }


def test_an_env_file_for_all_gives_the_database_its_own(tmp_path: Path) -> None:
    """Keys of the application don't reach the database."""
    files = services("image: 'postgres:17', env_file: .env", "env_file: .env")
    files[".env"] = "POSTGRES_PASSWORD=p\nAPI_TOKEN=t\n"
    assert propose(write(tmp_path, files)).job["services"]["db"]["env"] == {"POSTGRES_PASSWORD": "p"}


def test_a_database_that_only_a_url_names_comes_up_first(tmp_path: Path) -> None:
    """Without `depends_on`, a host in a URL is a dependency, and it has a target."""
    files = services("image: 'postgres:17'", "environment: {URL: 'postgres://u:p@database/x'}", "database")
    assert propose(write(tmp_path, files)).checklist.targets["app"].after == ["database"]
