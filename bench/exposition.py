"""A 100 MB exposition: `prodgate run` with one `metrics` item beside `promtool check metrics`, whole processes.

Prints seconds and peak memory (medians of the rounds), their ratio, and that of the memory for a file a tenth as large.
Usage: `python bench/exposition.py [MEGABYTES] [ROUNDS]`.
"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path

from _measure import GATE, Program, in_turns, judge, show

CHECKLIST = """version: 1
service: bench
sections:
  - id: bench
    title: Bench
    items:
      - {id: bench.exposition, title: Exposition, timeout: 10m, metrics: {file: metrics.prom, valid: true, limit: 4GiB}}
"""


def write(path: Path, size: int) -> None:
    """Write counters, gauges and histograms with labels, `size` bytes or a little more."""
    dice, written, number = random.Random(1), 0, 0
    with path.open("w") as file:
        while written < size:
            written += file.write(
                _family(f"bench_{number}_seconds", ("counter", "gauge", "histogram")[number % 3], dice)
            )
            number += 1


def _family(name: str, kind: str, dice: random.Random) -> str:
    lines = [f"# HELP {name} A family of the bench.", f"# TYPE {name} {kind}"]
    for series in range(100 if kind == "histogram" else 1000):
        labels = f'method="GET",path="/api/v1/things/{series}",instance="host-{series % 7}"'
        if kind == "histogram":
            bounds = ("0.005", "0.01", "0.05", "0.1", "0.5", "1", "+Inf")
            lines += [f'{name}_bucket{{{labels},le="{bound}"}} {series}' for bound in bounds]
            lines += [f"{name}_sum{{{labels}}} {dice.random()}", f"{name}_count{{{labels}}} {series}"]
        else:
            lines.append(f"{name}{{{labels}}} {dice.random() * 1000}")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure how a large exposition is read, beside promtool."""
    size = int(sys.argv[1] if len(sys.argv) > 1 else 100) * 10**6
    rounds = int(sys.argv[2] if len(sys.argv) > 2 else 3)
    with tempfile.TemporaryDirectory(prefix="prodgate-bench-") as name:
        folder = Path(name)
        (folder / "prodgate.yml").write_text(CHECKLIST)
        file = folder / "metrics.prom"
        ours = Program("prodgate run, a metrics item", GATE)
        peer = Program("promtool check metrics", ["promtool", "check", "metrics"], codes=(0, 3), stdin=file)
        write(file, size // 10)
        small = in_turns([ours], folder, 1)[ours.name]
        write(file, size)
        taken = in_turns([ours, peer], folder, rounds)
    print(f"an exposition of {size // 10**6} MB")
    show(taken)
    judge("beside promtool", taken[ours.name].seconds / taken[peer.name].seconds, 3.0)
    judge("memory beside a tenth of it", taken[ours.name].memory / small.memory, 1.1)


if __name__ == "__main__":
    main()
