"""10,000 alert rules: `prodgate run` with one `alert_rules` item beside `promtool check rules`, whole processes.

Prints seconds and peak memory (medians of the rounds) and their ratio. Usage: `python bench/rules.py [RULES] [ROUNDS]`.
"""

from __future__ import annotations

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
      - {id: bench.rules, title: Rules, timeout: 10m, alert_rules: {file: rules.yml, valid: true}}
"""
RULE = """      - alert: BenchAlert{number}
        expr: sum by (job) (rate(bench_{number}_total{{status=~"5.."}}[5m])) / sum by (job) (rate(bench_{number}_total[5m])) > 0.05
        for: 5m
        labels:
          severity: critical
          team: backend
        annotations:
          summary: "Error rate is {{{{ $value | humanizePercentage }}}} on {{{{ $labels.job }}}}"
          description: "Too many errors of kind {number}"
          runbook: docs/runbooks/errors.md
"""  # noqa: E501


def write(path: Path, count: int) -> None:
    """Write groups of 100 alerts each."""
    with path.open("w") as file:
        file.write("groups:\n")
        for number in range(count):
            if number % 100 == 0:
                file.write(f"  - name: group_{number // 100}\n    rules:\n")
            file.write(RULE.format(number=number))


def main() -> None:
    """Measure how many alert rules are read, beside promtool."""
    count = int(sys.argv[1] if len(sys.argv) > 1 else 10_000)
    rounds = int(sys.argv[2] if len(sys.argv) > 2 else 5)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "prodgate.yml").write_text(CHECKLIST)
        write(folder / "rules.yml", count)
        ours = Program("prodgate run, an alert_rules item", GATE)
        peer = Program("promtool check rules", ["promtool", "check", "rules", "rules.yml"])
        taken = in_turns([ours, peer], folder, rounds)
    print(f"{count} alert rules")
    show(taken)
    judge("beside promtool", taken[ours.name].seconds / taken[peer.name].seconds, 1.5)


if __name__ == "__main__":
    main()
