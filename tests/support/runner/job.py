"""A job with service containers in which the action runs: its network, its stages, its end.

https://github.com/actions/runner/blob/main/src/Runner.Worker/Container/DockerCommandManager.cs
https://github.com/actions/runner/blob/main/src/Runner.Worker/ContainerOperationProvider.cs
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shlex
import shutil
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from tests.support.paths import ROOT
from tests.support.runner.files import FileCommands, Files
from tests.support.runner.log import Command, Log, Masks
from tests.support.runner.manifest import Manifest, evaluate, holds, quoted, read, words

RUNNER_USER = 1001
TOKEN = "ghs_0123456789abcdefghijklmnopqrstuvwxyz"
_FIRST, _SECOND = 7.5, 2.5
_ENDINGS = re.compile(rb"\r\n|\r|\n")


@dataclass(frozen=True)
class Service:
    """A service of a workflow. `options` are words for `docker create`, `ports` as in the workflow."""

    image: str
    env: dict[str, str] = field(default_factory=dict)
    options: str = ""
    ports: tuple[str, ...] = ()
    command: tuple[str, ...] = ()


@dataclass
class Stage:
    """What became of the pre, the main or the post step."""

    name: str
    code: int
    log: Log
    commands: FileCommands
    cancelled: bool = False
    timed_out: bool = False
    skipped: bool = False

    @property
    def conclusion(self) -> str:
        """Return `success`, `failure`, `cancelled` or `skipped`, as the workflow sees it."""
        if self.skipped or self.cancelled:
            return "skipped" if self.skipped else "cancelled"
        return "failure" if self.code or self.timed_out or self.commands.errors or self.log.failures else "success"

    @property
    def outputs(self) -> dict[str, str]:
        """Return the outputs that later steps read: the file wins over the log. Only main's count."""
        return {**self.log.outputs, **self.commands.outputs} if self.name == "main" else {}


class Job:
    """A job on a runner of its own. Use it with `with`: services start, and everything is gone at the end."""

    def __init__(
        self,
        work: Path,
        image: str,
        *,
        services: dict[str, Service] | None = None,
        github: dict[str, str] | None = None,
        event: dict[str, Any] | None = None,
        env: dict[str, str] | None = None,
        action: Path = ROOT / "action.yml",
        timeout_minutes: float | None = None,
    ) -> None:
        self.image = image
        self.manifest: Manifest = read(action)
        self.timeout_minutes = timeout_minutes
        self.masks = Masks(TOKEN)
        self.label = secrets.token_hex(3)
        self.given = services or {}
        self.services: dict[str, dict[str, Any]] = {}
        self.network = f"github_network_{uuid.uuid4().hex}" if self.given else ""
        self.env = dict(env or {})
        self.inputs: dict[str, str] = {}
        self.state: dict[str, str] = {}
        self.before = ""
        self.status = "success"
        self.workspace = work / "repo" / "repo"
        self.temp = work / "_temp"
        self.mounts = {
            self.temp / "_runner_file_commands": "/github/file_commands",
            self.temp / "_github_home": "/github/home",
            self.temp / "_github_workflow": "/github/workflow",
            self.temp: "/github/runner_temp",
            self.workspace: "/github/workspace",
        }
        for folder in (*self.mounts, self.workspace):
            folder.mkdir(parents=True, exist_ok=True)
        (self.temp / "_github_workflow" / "event.json").write_text(json.dumps(event or {}))
        self.github = {**_GITHUB, **(github or {}), "event_path": str(self.temp / "_github_workflow" / "event.json")}
        self.github["workspace"] = str(self.workspace)
        self.reaches_github = "api_url" in (github or {})
        self.cli: subprocess.Popen[bytes] | None = None
        self.log = Log()
        self.container = ""
        self.own()

    def own(self) -> None:
        """Give all files to the runner's user, as after a checkout."""
        for path in (self.workspace.parent.parent, *self.workspace.parent.parent.rglob("*")):
            if not path.is_symlink():
                os.chown(path, RUNNER_USER, RUNNER_USER)

    def __enter__(self) -> Job:
        if self.given:
            _docker("network", "create", "--label", self.label, self.network)
        try:
            for name, service in self.given.items():
                self.services[name] = self._create(name, service)
            for name in self.given:
                self._wait(name)
        except BaseException:
            self._tear_down()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._tear_down()

    def pre(self, **inputs: str) -> Stage:
        """Run the action's pre step, which begins the use of the action. Inputs are given as to `main`."""
        self._begin(inputs)
        return self._judged(self._run("pre", self.manifest.pre, self.manifest.pre_if))

    def main(self, **inputs: str) -> Stage:
        """Run the action's main step. `file="a.yml"` is `with: {file: a.yml}`; an underscore stands for a dash.

        After `pre` it is of the same use of the action, and is skipped where the job has failed; else it begins one.
        """
        if self.before != "pre":
            self._begin(inputs)
        return self._judged(self._run("main", self.manifest.entrypoint or self.inputs.get("entryPoint"), "success()"))

    def main_cancelled_once(self, begun: Callable[[], bool], **inputs: str) -> Stage:
        """Run the main step, and cancel it as soon as something has begun (or after a minute)."""

        def wait() -> None:
            end = time.monotonic() + 60
            while not begun() and time.monotonic() < end:
                time.sleep(0.1)
            self.cancel()

        watcher = threading.Thread(target=wait)
        watcher.start()
        try:
            return self.main(**inputs)
        finally:
            watcher.join()

    def post(self) -> Stage:
        """Run the action's post step, where a stage of it has begun: the services are still there."""
        assert self.manifest.post
        return self._run("post", self.manifest.post if self.before else None, self.manifest.post_if)

    def _begin(self, inputs: dict[str, str]) -> None:
        """Begin a use of the action, with a state of its own."""
        self.inputs = {name.replace("_", "-"): value for name, value in inputs.items()}
        self.state, self.status, self.before = {}, "success", ""

    def _judged(self, stage: Stage) -> Stage:
        """Return a stage, and update the status of the job."""
        self.status = self.status if stage.skipped else stage.conclusion
        return stage

    def _run(self, name: str, entrypoint: str | None, condition: str) -> Stage:
        """Run a stage if it is declared and its condition holds; keep its state for later stages."""
        if (name != "main" and entrypoint is None) or not holds(condition, self.status):
            return Stage(name, 0, Log(self.masks), FileCommands(), skipped=True)
        self.before = name
        stage = self._stage(name, entrypoint)
        self.env.update(stage.commands.env)
        for key, value in {**stage.log.state, **stage.commands.state}.items():
            known = next((other for other in self.state if other.lower() == key.lower()), key)
            self.state[known] = value
        return stage

    def cancel(self) -> None:
        """Cancel the step that runs."""
        self.cancelled = True
        self._end()

    def _time_out(self) -> None:
        self.timed_out = True
        self._end()

    def _end(self) -> None:
        """End the step that runs: signals to the Docker command line, at the runner's times."""
        cli = self.cli
        assert cli
        for number, seconds in ((signal.SIGINT, _FIRST), (signal.SIGTERM, _SECOND)):
            cli.send_signal(number)
            try:
                cli.wait(seconds)
                return
            except subprocess.TimeoutExpired:
                continue
        cli.kill()

    def kill_everything(self) -> None:
        """Kill the action's container, as a lost machine would."""
        for name in self._containers(f"ancestor={self.image}"):
            _docker("kill", name)

    def _stage(self, name: str, entrypoint: str | None) -> Stage:
        files = Files(self.temp / "_runner_file_commands", RUNNER_USER)
        environment = self._environment(files)
        self.cancelled = self.timed_out = False
        self.log = log = Log(self.masks)
        command = self._command(environment, entrypoint)
        self.cli = cli = subprocess.Popen(
            command,
            cwd=self.workspace,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        clock = threading.Timer((self.timeout_minutes or 0) * 60, self._time_out)
        if self.timeout_minutes:
            clock.start()
        lock = threading.Lock()
        readers = [threading.Thread(target=_read, args=(stream, log, lock)) for stream in (cli.stdout, cli.stderr)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        code = cli.wait()
        clock.cancel()
        for stream in (cli.stdout, cli.stderr):
            assert stream
            stream.close()
        commands = files.read(self.masks)
        errors = [f"Can't store {key} output parameter using '$GITHUB_ENV' command." for key in commands.refused]
        if self.timed_out:
            errors.append(f"The action has timed out after {self.timeout_minutes:g} minutes.")
        log.annotations += [Command("error", error) for error in errors]
        return Stage(name, code, log, commands, self.cancelled, self.timed_out)

    def _command(self, environment: dict[str, str], entrypoint: str | None) -> list[str]:
        self.container = f"{_sanitized(self.image)}_{secrets.token_hex(3)}"
        command = ["docker", "run", "--name", self.container, "--label", self.label]
        command += ["--workdir", "/github/workspace", "--rm"]
        command += [word for key in environment for word in ("-e", key)] + ["-e", "GITHUB_ACTIONS=true"]
        command += [] if "CI" in environment else ["-e", "CI=true"]
        command += ["--entrypoint", entrypoint] if entrypoint else []
        command += ["--network", self.network] if self.network else []
        command += ["-v", "/var/run/docker.sock:/var/run/docker.sock"]
        order = (self.temp, *(path for path in self.mounts if path != self.temp))
        command += [word for path in order for word in ("-v", f"{path}:{self.mounts[path]}")]
        return [*command, self.image, *words(self._args())]

    def _args(self) -> str:
        """Return the arguments after the image: the manifest's, else those of the step."""
        if self.manifest.args:
            return " ".join(quoted(evaluate(text, {"inputs": self._inputs()})) for text in self.manifest.args)
        return self.inputs.get("args", "")

    def _inputs(self) -> dict[str, str]:
        """Return all inputs, given or default. Without a GitHub to reach, publishing is off."""
        contexts = {
            "github": {**self.github, "token": TOKEN},
            "job": {"services": self.services, "status": self.status},
        }
        found = {name: evaluate(default, contexts) for name, default in self.manifest.inputs.items()}
        if not self.reaches_github and "publish" in found:
            found["publish"] = "none"
        return {**found, **self.inputs}

    def _environment(self, files: Files) -> dict[str, str]:
        """Return the container's environment in the runner's order: later values win, `runs.env` only adds."""
        given = self._inputs()
        own = {key: evaluate(value, {"inputs": given}) for key, value in self.manifest.env.items()}
        found = {**self.env, **{f"STATE_{key}": value for key, value in self.state.items()}}
        found.update({f"INPUT_{name.replace(' ', '_').upper()}": value for name, value in given.items()})
        found.update({key: value for key, value in own.items() if key not in found})
        found["HOME"] = str(self.temp / "_github_home")
        found.update({f"GITHUB_{key.upper()}": value for key, value in self.github.items()})
        found.update({name: str(path) for name, path in files.paths.items()})
        found.update(RUNNER_OS="Linux", RUNNER_ARCH="X64", RUNNER_NAME="test", RUNNER_ENVIRONMENT="github-hosted")
        found.update(
            RUNNER_TEMP=str(self.temp), ACTIONS_RUNTIME_TOKEN="eyJ-runtime-token", ACTIONS_RUNTIME_URL="http://x/"
        )
        return {key: self._translated(value) for key, value in found.items()}

    def _translated(self, value: str) -> str:
        """Return a value that begins with a mounted folder of the host, as the container sees it."""
        for path, inside in self.mounts.items():
            if value == str(path) or value.startswith(f"{path}/"):
                return inside + value[len(str(path)) :]
        return value

    def _create(self, name: str, service: Service) -> dict[str, Any]:
        called = f"{uuid.uuid4().hex}_{_sanitized(service.image)}_{secrets.token_hex(3)}"
        command = [
            "create",
            "--name",
            called,
            "--label",
            self.label,
            "--network",
            self.network,
            "--network-alias",
            name,
        ]
        command += [word for port in service.ports for word in ("-p", port)] + shlex.split(service.options)
        command += [word for key, value in service.env.items() for word in ("-e", f"{key}={value}")]
        command += ["-e", "GITHUB_ACTIONS=true", "-e", "CI=true", service.image, *service.command]
        id = _docker(*command)
        _docker("start", id)
        return {"id": id, "network": self.network, "ports": _ports(_docker("port", id))}

    def _wait(self, name: str) -> None:
        id = self.services[name]["id"]
        health = "{{if .Config.Healthcheck}}{{print .State.Health.Status}}{{end}}"
        delay = 0.5
        while (status := _docker("inspect", "--format", health, id)) == "starting":
            time.sleep(delay)
            delay = min(delay * 2, 32)
        if status not in ("", "healthy"):
            raise RuntimeError(f"Failed to initialize container {name}: {_docker('logs', id)}")

    def _containers(self, *filters: str) -> list[str]:
        words = [word for filter in (f"label={self.label}", *filters) for word in ("--filter", filter)]
        return _docker("ps", "--all", "--quiet", *words).split()

    def _remove_containers(self) -> None:
        """Remove all containers of the job; one of a cancelled step may be removing itself (`--rm`)."""
        error, until = "", time.monotonic() + 30
        while left := self._containers():
            if time.monotonic() > until:
                raise RuntimeError(f"containers of the job are left: {' '.join(left)}: {error}")
            command = ["docker", "rm", "--force", "--volumes", *left]
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
            error = done.stderr
            if done.returncode != 0:
                time.sleep(0.2)

    def _tear_down(self) -> None:
        self._remove_containers()
        if self.network:
            _docker("network", "rm", self.network)
        shutil.rmtree(self.temp, ignore_errors=True)


_GITHUB = {
    "action": "__self",
    "action_ref": "",
    "action_repository": "",
    "actor": "octocat",
    "api_url": "http://127.0.0.1:1",
    "base_ref": "",
    "event_name": "push",
    "head_ref": "",
    "job": "gate",
    "ref": "refs/heads/main",
    "ref_name": "main",
    "ref_type": "branch",
    "repository": "octo/veza",
    "repository_owner": "octo",
    "run_attempt": "1",
    "run_id": "4242",
    "run_number": "7",
    "server_url": "https://github.com",
    "sha": "feb7283cd4a17c4460be28697ac2d7e4b7476512",
    "workflow": "prodgate",
}


def _read(stream: IO[bytes], log: Log, lock: threading.Lock) -> None:
    """Read lines that end as the runner's lines do."""
    for line in stream:
        with lock:
            for part in _ENDINGS.split(line.removesuffix(b"\n").removesuffix(b"\r")):
                log.line(part.decode("utf-8", "replace"))


def _sanitized(image: str) -> str:
    return re.sub(r"^[^A-Za-z_]+", "", re.sub(r"[^A-Za-z0-9_]", "", image))


def _ports(text: str) -> dict[str, str]:
    pairs = [line.partition(" -> ") for line in text.splitlines()]
    return {inside.partition("/")[0]: outside.rpartition(":")[2] for inside, _, outside in pairs}


def _docker(*words: str) -> str:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, errors="replace", check=False)
    if done.returncode != 0:
        raise RuntimeError(f"docker {' '.join(words)}: {done.stderr}")
    return done.stdout.strip()
