"""The traffic of a drill beside hey and wrk on one server: the rate that is achieved, and the percentiles of latency.

Usage: `python bench/traffic.py [SECONDS]`. Needs hey and wrk, which Debian has.
"""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

from _measure import judge, service

from gate.checks.context import CheckContext
from gate.drills.spec import Traffic
from gate.drills.traffic import RequestWindow, TrafficGenerator
from gate.redaction.secrets import Redactor
from gate.staging.target import RunningTarget

RATES = (20, 50, 100, 200)
DELAY = 0.02
"""Seconds that the server takes for each response."""
CONNECTIONS = 10
PERCENTILES = ("p50", "p95", "p99", "max")


def ours(url: str, rate: int, seconds: float) -> tuple[float, RequestWindow]:
    """Send with the gate; return the achieved rate and the requests."""
    now = time.monotonic()
    context = CheckContext(
        Path(), {"api": RunningTarget("api", base_url=url)}, Redactor(), now + 600, now, threading.Event()
    )
    generator = TrafficGenerator(Traffic(target="api", rate=float(rate)), context)
    generator.start()
    began = time.monotonic()
    time.sleep(seconds)
    sent, took = generator.sent, time.monotonic() - began
    generator.stop()
    return sent / took, generator.log.due_from(0.0)


def with_hey(url: str, rate: int, seconds: float) -> tuple[float, RequestWindow]:
    """Send with hey, which limits the rate of each of its workers: a slow response delays the next request."""
    command = ["hey", "-z", f"{seconds:g}s", "-c", str(CONNECTIONS), "-q", str(rate / CONNECTIONS), "-o", "csv"]
    rows = subprocess.run([*command, "-disable-keepalive", url], capture_output=True, text=True, check=True).stdout
    latencies = sorted(float(row["response-time"]) for row in csv.DictReader(rows.splitlines()))
    return len(latencies) / seconds, RequestWindow(len(latencies), latencies, [])


def with_wrk(url: str, seconds: float) -> str:
    """Send with wrk, which knows no rate: as fast as the server answers."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds:g}s", "--latency", "-H", "Connection: close", url]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.findall(r"(50|75|90|99)%\s+([\d.]+\w+)", said)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    return f"{rate[1] if rate else '?'} per second, " + ", ".join(f"p{name} {value}" for name, value in found)


def show(name: str, rate: float, window: RequestWindow) -> None:
    """Print a line of numbers in milliseconds."""
    shown = ", ".join(f"{name} {1000 * window.percentile(name):.1f} ms" for name in PERCENTILES)
    print(f"  {name:10} {rate:7.1f} per second, {shown}, errors {window.errors}", flush=True)


def main() -> int:
    """Measure each rate in turns."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    missing = [name for name in ("hey", "wrk") if not shutil.which(name)]
    if missing:
        print(f"not installed: {', '.join(missing)}; try `apt-get install {' '.join(missing)}`")
        return 0
    with service(DELAY) as url:
        print(f"a server that answers after {DELAY * 1000:.0f} ms, for {seconds:g} s each")
        for rate in RATES:
            print(f"{rate} requests per second")
            achieved, window = ours(url, rate, seconds)
            show("prodgate", achieved, window)
            show("hey", *with_hey(url, rate, seconds))
            judge("error of the rate", abs(achieved - rate) / rate, 0.05)
        print(f"as fast as it can, {CONNECTIONS} connections\n  wrk        {with_wrk(url, seconds)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
