"""`python -m demo`: starts the example, runs the gate on it, stops the example, and exits with the verdict."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from demo import tools
from demo.services import HERE, Failed, Services

OUT = HERE / "prodgate-out"


def main(arguments: list[str]) -> int:
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        tools.install()
        found = tools.find()
        python = tools.environment(HERE / ".demo" / "venv", HERE / "requirements-test.txt")
        with Services(found, python) as services:
            services.prepare()
            for name in ("database", "redis", "catalogue", "api", "prometheus"):
                print(f"demo: starting {name} on port {services.ports[name]}", flush=True)
                services.start(name)
            code = _gate(services, arguments)
    except (tools.Missing, Failed) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print("demo: interrupted; everything that was started is stopped", file=sys.stderr)
        return 130
    print(f"demo: the report is {OUT / 'report.md'}")
    return code


def _gate(services: Services, arguments: list[str]) -> int:
    """Runs the gate and returns its exit code. Interrupted, it is given the time to put back what it broke."""
    environment = {
        **os.environ,
        **services.environment(),
        "PATH": os.environ.get("PATH", ""),
        "PYTHON": str(services.python),
        "API_URL": services.url("api"),
        "PROMETHEUS_URL": services.url("prometheus"),
    }
    command = [sys.executable, "-m", "gate", "run", "--file", "prodgate.yml", "--out", str(OUT), *arguments]
    process = subprocess.Popen(command, cwd=HERE, env=environment)
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        process.wait()
        raise


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
