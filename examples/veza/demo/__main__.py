"""`python -m demo`: prepares the example, runs the gate, which starts and stops it, and exits with the verdict."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from demo import tools
from demo.services import HERE, ServiceError, Services

OUT = HERE / "prodgate-out"


def main(arguments: list[str]) -> int:
    """Prepare the example, run the gate and return its exit code."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        tools.install()
        found = tools.find()
        python = tools.environment(HERE / ".demo" / "venv", HERE / "requirements-test.txt")
        with Services(found, python) as services:
            services.prepare()
            code = _gate(services, arguments)
    except (tools.MissingToolError, ServiceError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print("demo: interrupted, and everything that was started is stopped", file=sys.stderr)
        return 130
    if code in (0, 1):
        print(f"demo: the report is {OUT / 'report.md'}")
    return code


def _gate(services: Services, arguments: list[str]) -> int:
    """Run the gate and return its exit code. On an interrupt, wait until it has reverted its faults."""
    files = ["--file", "prodgate.yml", "--file", "prodgate.demo.yml"]
    command = [sys.executable, "-m", "gate", "run", *files, "--out", str(OUT), *arguments]
    environment = {**os.environ, **services.for_the_gate()}
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
