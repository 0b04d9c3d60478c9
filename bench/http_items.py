"""33 `http` items beside 33 probes of Chaos Toolkit and 33 curls; then 1,000 items beside the limit of the workers.

Usage: `python bench/http_items.py [ROUNDS]`. `make bench` installs Chaos Toolkit in `.cache/chaostoolkit` first.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from _measure import GATE, ROOT, Program, in_turns, judge, service, show

from gate.commands._arguments import WORKERS

ITEMS = 33
MANY, MANY_DELAY = 1000, 0.05
# Numbers of workers: a few, and the default.
COUNTS = (8, WORKERS)
CHAOS = ROOT / ".cache" / "chaostoolkit" / "bin" / "chaos"


def checklist(folder: Path, url: str, count: int) -> None:
    """So many items that want a status and a field of the body."""
    items = [
        {
            "id": f"bench.item{number}",
            "title": f"Item {number}",
            "http": {"target": "api", "path": f"/{number}", "status": 200, "json": {"status": "ready"}},
        }
        for number in range(count)
    ]
    section = {"id": "bench", "title": "Bench", "items": items}
    text = {"version": 1, "service": "bench", "targets": {"api": {"url": url}}, "sections": [section]}
    (folder / "prodgate.yml").write_text(json.dumps(text))


def experiment(folder: Path, url: str, count: int) -> None:
    """Write an experiment for Chaos Toolkit whose steady state has a probe for each item."""
    probes = [
        {
            "type": "probe",
            "name": f"item{number}",
            "tolerance": 200,
            "provider": {"type": "http", "url": f"{url}/{number}", "timeout": 10},
        }
        for number in range(count)
    ]
    text = {
        "title": "bench",
        "description": "bench",
        "steady-state-hypothesis": {"title": "bench", "probes": probes},
        "method": [],
        "rollbacks": [],
    }
    (folder / "experiment.json").write_text(json.dumps(text))


def curls(url: str, count: int) -> str:
    """Return a shell loop that sends one request after another and stops at the first that fails."""
    return f"for n in $(seq 0 {count - 1}); do curl -sS --fail --max-time 10 -o answer {url}/$n || exit 1; done"


def beside(folder: Path, delay: float, limit: float, rounds: int) -> None:
    """33 items beside both peers."""
    with service(delay) as url:
        checklist(folder, url, ITEMS)
        experiment(folder, url, ITEMS)
        chaos = [
            str(CHAOS),
            "--no-version-check",
            "run",
            "--hypothesis-strategy",
            "before-method-only",
            "experiment.json",
        ]
        programs = [
            Program("prodgate run", GATE),
            Program("chaos run", chaos),
            Program("a loop of curl", ["sh", "-c", curls(url, ITEMS)]),
        ]
        taken = in_turns(programs, folder, rounds)
    print(f"{ITEMS} items, answered after {delay * 1000:.0f} ms")
    show(taken)
    ours = taken["prodgate run"].seconds
    for peer in ("chaos run", "a loop of curl"):
        judge(f"beside {peer}", ours / taken[peer].seconds, limit)


def many(folder: Path, rounds: int) -> None:
    """1,000 items at 50 ms beside what the number of workers allows at best."""
    with service(MANY_DELAY) as url:
        checklist(folder, url, MANY)
        programs = {workers: Program(f"{workers} workers", [*GATE, "--workers", str(workers)]) for workers in COUNTS}
        taken = in_turns(list(programs.values()), folder, rounds)
    print(f"{MANY} items, answered after {MANY_DELAY * 1000:.0f} ms")
    show(taken)
    for workers, program in programs.items():
        limit = -(-MANY // workers) * MANY_DELAY
        judge(f"{program.name}: of {limit:.2f} s", taken[program.name].seconds / limit, 1.25)


def main() -> None:
    """Measure runs of many HTTP items, beside other programs."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory(prefix="prodgate-bench-") as name:
        beside(Path(name), 0.0, 1.0, rounds)
        beside(Path(name), 0.1, 0.15, rounds)
        many(Path(name), rounds)


if __name__ == "__main__":
    main()
