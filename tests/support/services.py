"""PostgreSQL, Redis and Prometheus as processes of this machine, on free ports, gone at the end of the test.

Each is a context manager and a pytest fixture. A program that is missing fails the test: `make parts` installs it.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.paths import ROOT

HOST = "127.0.0.1"
_UP_WITHIN = 60.0
_PACKAGES = {"postgres": "postgresql", "redis-server": "redis-server"}
# The newest Prometheus and what belongs to it, which `make parts` fetches.
NEWEST = ROOT / ".cache" / "prometheus" / "forky"


@dataclass
class Service:
    """A running service. Stopping, killing and pausing are there for tests of what happens then."""

    name: str
    port: int
    folder: Path
    command: tuple[str, ...]
    interrupt: signal.Signals = signal.SIGTERM
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Return host and port."""
        return f"{HOST}:{self.port}"

    @property
    def url(self) -> str:
        """Return the base URL."""
        return f"http://{self.address}"

    @property
    def log(self) -> str:
        """Return its output so far."""
        return (self.folder / "log").read_text(errors="replace")

    def start(self) -> None:
        """Start it without waiting for its first answer."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, start_new_session=True
            )

    def stop(self) -> None:
        """Terminate it, kill it after ten seconds, and wait until all its children are gone."""
        if not self.process:
            return
        self.signal(self.interrupt)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            self.process.wait()
        self.process = None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the service and, for SIGKILL, SIGSTOP and SIGCONT, to its children."""
        if not self.process or self.process.poll() is not None:
            return
        if number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGCONT):
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)

    def wait(self, answers: Callable[[], bool]) -> None:
        """Wait until it answers. Raise RuntimeError with its log if it ends first or never does."""
        end = time.monotonic() + _UP_WITHIN
        while not answers():
            if not self.process or self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{self.name} did not come up:\n{self.log[-4000:]}")
            time.sleep(0.05)


@dataclass
class Postgres(Service):
    """A PostgreSQL with the user `postgres` and no fsync."""

    password: str = "test"
    database: str = "postgres"

    @property
    def dsn(self) -> str:
        """Return the connection string."""
        return f"postgresql://postgres:{self.password}@{self.address}/{self.database}?sslmode=disable"


@contextmanager
def postgres_prepared(database: str = "postgres") -> Iterator[Postgres]:
    """Prepare a PostgreSQL with an empty database; the caller starts its command."""
    with _folder("postgres") as folder:
        binaries = Path(_program("postgres", *Path("/usr/lib/postgresql").glob("*/bin/postgres"))).parent
        user = _postgres_user(folder)
        password = folder / "password"
        password.write_text("test\n")
        password.chmod(0o644)
        made = [str(binaries / "initdb"), "-D", str(folder / "data"), "-U", "postgres", f"--pwfile={password}"]
        _run([*user, *made, "--auth=scram-sha-256", "--no-locale", "--encoding=UTF8", "--no-sync"], folder)
        if database != "postgres":
            single = [*user, str(binaries / "postgres"), "--single", "-j", "-D", str(folder / "data"), "postgres"]
            _run(single, folder, f'CREATE DATABASE "{database}";\n')
        port = free_port()
        settings = ("fsync=off", f"listen_addresses={HOST}", f"unix_socket_directories={folder}", f"port={port}")
        options = [part for setting in settings for part in ("-c", setting)]
        command = (*user, str(binaries / "postgres"), "-D", str(folder / "data"), *options)
        yield Postgres("PostgreSQL", port, folder, command, signal.SIGINT, database=database)


@contextmanager
def postgres_running(database: str = "postgres") -> Iterator[Postgres]:
    """Provide a PostgreSQL of its own, with an empty database."""
    with (
        postgres_prepared(database) as service,
        _running(service, lambda: "ready to accept connections" in service.log),
    ):
        yield service


@contextmanager
def redis_running() -> Iterator[Service]:
    """Provide a Redis of its own that keeps nothing."""
    with _folder("redis") as folder:
        port = free_port()
        program = _program("redis-server")
        command = (program, "--port", str(port), "--bind", HOST, "--save", "", "--dir", str(folder))
        service = Service("Redis", port, folder, command)
        with _running(service, lambda: _ping(port)):
            yield service


@contextmanager
def prometheus_running(
    config: str,
    rules: str | None = None,
    *,
    program: str = "",
    port: int = 0,
    options: Sequence[str] = (),
    **files: str,
) -> Iterator[Service]:
    """Provide a Prometheus of its own. `config` is its whole prometheus.yml; `rules` becomes `rules.yml` beside it.

    `program` is another one than the newest, `port` that on which it listens. `files` are more files beside it, by
    name with `__` for the dot: `alerts__yml="groups: []"`. It can be reloaded by `POST /-/reload` and by SIGHUP.
    """
    with _folder("prometheus") as folder:
        (folder / "prometheus.yml").write_text(config)
        if rules is not None:
            (folder / "rules.yml").write_text(rules)
        for name, text in files.items():
            (folder / name.replace("__", ".")).write_text(text)
        port = port or free_port()
        command = (
            program or newest("prometheus"),
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={HOST}:{port}",
            "--web.enable-lifecycle",
            *options,
        )
        service = Service("Prometheus", port, folder, command)
        with _running(service, lambda: answers(f"{service.url}/-/ready")):
            yield service


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    """Provide a PostgreSQL for one test."""
    with postgres_running() as service:
        yield service


@pytest.fixture
def redis_server() -> Iterator[Service]:
    """Provide a Redis for one test."""
    with redis_running() as service:
        yield service


@pytest.fixture
def prometheus() -> Iterator[Callable[..., Service]]:
    """Start a Prometheus for one test: `prometheus(config, rules)`, with the files' texts."""
    with ExitStack() as stack:
        yield lambda config, rules=None, **files: stack.enter_context(prometheus_running(config, rules, **files))


def free_port() -> int:
    """Return a port of this machine that nobody listens on now, and that no connection going out will be given."""
    for port in random.SystemRandom().sample(range(10_000, 32_000), 100):
        with socket.socket() as found, suppress(OSError):
            found.bind((HOST, port))
            return port
    raise RuntimeError("none of 100 ports is free")


def answers(url: str) -> bool:
    """Return True if a URL answers with 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.HTTPError, OSError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        return False


@contextmanager
def _running(service: Service, ready: Callable[[], bool]) -> Iterator[None]:
    service.start()
    try:
        service.wait(ready)
        yield
    finally:
        service.signal(signal.SIGCONT)
        service.stop()


@contextmanager
def _folder(name: str) -> Iterator[Path]:
    """Provide a folder with a short path: that of a Unix socket may not exceed 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix=f"prodgate-{name}-", dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _postgres_user(folder: Path) -> list[str]:
    """Return the command prefix that runs PostgreSQL as the user `postgres`: it refuses root."""
    if os.geteuid() != 0:
        return []
    shutil.chown(folder, "postgres", "postgres")
    return [_program("setpriv"), "--reuid=postgres", "--regid=postgres", "--init-groups"]


def newest(name: str) -> str:
    """Return the path of a program of the newest Prometheus."""
    path = NEWEST / "bin" / name
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; run `make parts`")
    return str(path)


def _program(name: str, *elsewhere: Path) -> str:
    found = shutil.which(name) or next((str(path) for path in sorted(elsewhere, reverse=True) if path.exists()), None)
    if not found:
        raise FileNotFoundError(f"{name} is not installed (Debian's {_PACKAGES.get(name, name)}); run `make parts`")
    return found


def _run(command: list[str], folder: Path, text: str = "") -> None:
    done = subprocess.run(command, input=text, capture_output=True, text=True, cwd=folder, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"`{' '.join(command)}` exited with {done.returncode}:\n{done.stdout}{done.stderr}")


def _ping(port: int) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=5) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(7) == b"+PONG\r\n"
    except OSError:
        return False
