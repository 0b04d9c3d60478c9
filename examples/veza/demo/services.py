"""The example's services as processes on free ports: commands to start each, and a folder for what they keep."""

from __future__ import annotations

import contextlib
import os
import pwd
import random
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from internal import tokens

from demo.tools import Tools

HERE = Path(__file__).resolve().parent.parent
JWT_SECRET = "only for the demo"
# Seconds for which the gate may write tracks.
_TOKEN_LIFETIME = 3600


def free_ports(count: int) -> list[int]:
    """Return free ports outside the range that the kernel gives to outgoing connections."""
    found: list[int] = []
    for port in random.SystemRandom().sample(range(10_000, 32_000), 100 + count):
        with socket.socket() as each, contextlib.suppress(OSError):
            each.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise ServiceError("no ports are free")


class ServiceError(Exception):
    """A service did not come up."""


@dataclass
class Services:
    """Use as a context: what was started is stopped when it ends, and the folder is gone.

    `api_folder` is where the API and its rules are: the example's own, or a changed copy of it.
    """

    tools: Tools
    python: Path
    api_folder: Path = HERE
    folder: Path = field(init=False)
    ports: dict[str, int] = field(init=False)
    started: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        names = ["api", "prometheus", "alertmanager", "database", "redis", "catalogue", "before_catalogue"]
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        self.folder = Path(tempfile.mkdtemp(prefix="prodgate-demo-"))
        self.folder.chmod(0o755)
        return self

    def __exit__(self, *_: object) -> None:
        for name in reversed(list(self.started)):
            self.stop(name)
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, name: str) -> str:
        """Return the URL of an HTTP service."""
        return f"http://127.0.0.1:{self.ports[name]}"

    @property
    def database_url(self) -> str:
        """Return the connection string of the database."""
        return f"postgresql://veza@127.0.0.1:{self.ports['database']}/postgres"

    @property
    def redis_url(self) -> str:
        """Return the URL of Redis."""
        return f"redis://127.0.0.1:{self.ports['redis']}/0"

    def prepare(self) -> None:
        """Create the database's files and the configuration of Prometheus."""
        data = self.folder / "database"
        data.mkdir()
        if os.geteuid() == 0:
            shutil.chown(data, _unprivileged().pw_uid, _unprivileged().pw_gid)
        command = [self.tools.initdb, "-D", str(data), "-U", "veza", "-A", "trust", "-E", "UTF8", "--no-sync"]
        made = subprocess.run([*as_unprivileged(), *command], cwd=self.folder, capture_output=True)
        if made.returncode:
            raise ServiceError(f"initdb: {made.stderr.decode(errors='replace').strip()}")
        rules = self.api_folder / "ops" / "prometheus"
        shutil.copy(rules / "alerts.yml", self.folder)
        text = (rules / "prometheus.yml").read_text()
        for address, name in (("api:8080", "api"), ("alertmanager:9093", "alertmanager")):
            text = text.replace(address, f"127.0.0.1:{self.ports[name]}")
        (self.folder / "prometheus.yml").write_text(text)

    def command(self, name: str) -> list[str]:
        """Return the command of a service."""
        port, folder = str(self.ports[name]), str(self.folder)
        quick = ["-c", "fsync=off", "-c", "listen_addresses=127.0.0.1", "-k", folder + "/database"]
        return {
            "database": [
                *(str(self.python), str(HERE / "demo" / "fast_stop.py"), *as_unprivileged()),
                *(self.tools.postgres, "-D", folder + "/database", "-p", port, *quick),
            ],
            "redis": [self.tools.redis, "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", folder],
            "catalogue": [str(self.python), "-m", "internal.testutils.catalogue", port],
            "api": [str(self.python), "-m", "internal"],
            "prometheus": [
                self.tools.prometheus,
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/prometheus",
                f"--web.listen-address=127.0.0.1:{port}",
                "--log.level=warn",
            ],
            "alertmanager": [
                self.tools.alertmanager,
                # What the gate writes from ops/alertmanager: production's routes, with the gate as every receiver.
                "--config.file={alertmanager.config}",
                f"--storage.path={folder}/alertmanager",
                f"--web.listen-address=127.0.0.1:{port}",
                "--cluster.listen-address=",
                "--log.level=warn",
            ],
        }[name]

    def environment(self) -> dict[str, str]:
        """Return the environment of the API and its tests."""
        return {
            # promtool is beside Prometheus.
            "PATH": f"{Path(self.tools.prometheus).parent}:{os.environ.get('PATH', '')}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "EXTERNAL_URL": self.url("catalogue"),
            "PORT": str(self.ports["api"]),
            "JWT_SECRET": JWT_SECRET,
        }

    def for_the_gate(self) -> dict[str, str]:
        """Return the variables of prodgate.demo.yml. The API connects to the catalogue through a port of the gate."""
        made = {**self.environment(), "EXTERNAL_URL": self.url("before_catalogue"), "PYTHON": str(self.python)}
        for name in ("database", "redis", "catalogue", "api", "prometheus", "alertmanager"):
            made[f"DEMO_{name.upper()}"] = shlex.join(self.command(name))
            made[f"DEMO_{name.upper()}_PORT"] = str(self.ports[name])
        # Its promtool judges the rules, and runs their unit tests.
        newer = Path(self.tools.prometheus).parent
        return made | {
            "PATH": f"{newer}{os.pathsep}{made['PATH']}",
            # Another checkout, of the previous release; this one unless PREVIOUS_RELEASE names it.
            "DEMO_PREVIOUS_API": shlex.join(
                ["env", "-C", os.environ.get("PREVIOUS_RELEASE", str(HERE)), *self.command("api")]
            ),
            "TRACKS_TOKEN": tokens.signed({"exp": time.time() + _TOKEN_LIFETIME}, JWT_SECRET),
            "DEMO_CATALOGUE_LISTEN": str(self.ports["before_catalogue"]),
            "API_URL": self.url("api"),
            "PROMETHEUS_URL": self.url("prometheus"),
            "ALERTMANAGER_URL": self.url("alertmanager"),
        }

    def start(self, name: str, within: float = 30.0) -> None:
        """Start a service and wait for its port. Raises ServiceError with the end of its log."""
        log = self.folder / f"{name}.log"
        with log.open("ab") as output:
            self.started[name] = process = subprocess.Popen(
                self.command(name),
                cwd=self.api_folder,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        end = time.monotonic() + within
        while not listens(self.ports[name]):
            if process.poll() is not None or time.monotonic() > end:
                tail = "\n".join(log.read_text(errors="replace").splitlines()[-10:])
                raise ServiceError(f"{name} did not come up on port {self.ports[name]}:\n{tail}")
            time.sleep(0.1)

    def stop(self, name: str) -> None:
        """Stop a service; kill it if it does not exit within ten seconds."""
        process = self.started.pop(name)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def listens(port: int) -> bool:
    """Return whether a local port accepts a connection."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def as_unprivileged() -> list[str]:
    """Return a prefix that drops privileges: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return []
    user = _unprivileged()
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]


def _unprivileged() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")
