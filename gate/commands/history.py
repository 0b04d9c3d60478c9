"""Implement `prodgate history`: print the trend of verdicts, pass rates and drill times over many reports."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gate.model import Report

SUMMARY = "print the trend of many reports"
_BARS = " ▁▂▃▄▅▆▇█"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("folder", metavar="DIR", help="read every report.json below this folder")
    parser.add_argument("--last", type=int, default=50, metavar="N", help="show the last N runs (default: %(default)s)")


def run(options: argparse.Namespace) -> int:
    """Print the trend and return 0, or 2 if there is no report. Name and skip each file that is not a report."""
    from gate.report.serialization import InvalidReportError, read_report

    reports: list[Report] = []
    for path in sorted(Path(options.folder).rglob("report.json")):
        try:
            reports.append(read_report(path))
        except InvalidReportError as error:
            print(f"skipped: {error}", file=sys.stderr)
    if not reports:
        print(f"prodgate: {options.folder}: no report.json found in this folder", file=sys.stderr)
        return 2
    reports = sorted(reports, key=lambda report: report.started)[-max(1, options.last) :]
    for line in format_trend(reports):
        print(line)
    return 0


def format_trend(reports: list[Report]) -> list[str]:
    """Return the lines of the trend. `reports` are in order of time."""
    lines = [f"{'started':<20} {'commit':<9} {'verdict':<21} {'rate':>5}  passed/total"]
    for report in reports:
        counts = report.counts
        moment, commit = f"{report.started:%Y-%m-%d %H:%M:%S}", report.source.commit[:8] or "-"
        share = f"{counts.passed}/{counts.total}"
        lines.append(f"{moment:<20} {commit:<9} {report.verdict.decision:<21} {counts.rate:>4}%  {share}")
    lines += ["", f"rate       {_spark([float(report.counts.rate) for report in reports], 100.0)}"]
    return lines + [line for name in _drill_ids(reports) for line in _drill_trend(reports, name)]


def _drill_ids(reports: list[Report]) -> list[str]:
    return list(dict.fromkeys(item.id for report in reports for item in report.items if item.outcome.timeline))


def _drill_trend(reports: list[Report], name: str) -> list[str]:
    lines = []
    for phase in ("detect", "recover"):
        times = [_phase_duration(report, name, phase) for report in reports]
        measured = [seconds for seconds in times if seconds is not None]
        if measured:
            spark = _spark([seconds if seconds is not None else 0.0 for seconds in times], max(measured) or 1.0)
            lines.append(
                f"{phase:<10} {spark}  {name}: {measured[-1]:.1f} s, {min(measured):.1f} to {max(measured):.1f} s"
            )
    return lines


def _phase_duration(report: Report, name: str, phase: str) -> float | None:
    for item in report.items:
        if item.id == name and item.outcome.timeline:
            seconds: float | None = (
                item.outcome.timeline.detected_after if phase == "detect" else item.outcome.timeline.recovered_after
            )
            return seconds
    return None


def _spark(values: list[float], top: float) -> str:
    return "".join(_BARS[round(max(0.0, min(1.0, value / top)) * (len(_BARS) - 1))] for value in values)
