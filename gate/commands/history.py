"""`prodgate history DIR`: the trend of many reports: verdicts, pass rates, times of the drills."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gate.model import Report

SUMMARY = "draw the trend of many reports"
_BARS = " ▁▂▃▄▅▆▇█"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("folder", metavar="DIR", help="a folder with report.json files, at any depth")
    parser.add_argument("--last", type=int, default=50, metavar="N", help="how many runs to show (%(default)s)")


def main(options: argparse.Namespace) -> int:
    """0 where there was at least one report; 2 where there was none. A report.json that is none is named."""
    from gate.report.serialization import InvalidReportError, read_report

    reports: list[Report] = []
    for path in sorted(Path(options.folder).rglob("report.json")):
        try:
            reports.append(read_report(path))
        except InvalidReportError as error:
            print(f"left out: {error}", file=sys.stderr)
    if not reports:
        print(f"prodgate: no report in {options.folder}, expected report.json files", file=sys.stderr)
        return 2
    reports = sorted(reports, key=lambda report: report.started)[-max(1, options.last) :]
    for line in format_trend(reports):
        print(line)
    return 0


def format_trend(reports: list[Report]) -> list[str]:
    """The lines of the trend, of reports in order of time."""
    lines = [f"{'started':<20} {'commit':<9} {'verdict':<21} {'rate':>5}  passed/total"]
    for report in reports:
        counts = report.counts
        moment, commit = f"{report.started:%Y-%m-%d %H:%M:%S}", report.source.commit[:8] or "-"
        share = f"{counts.passed}/{counts.total}"
        lines.append(f"{moment:<20} {commit:<9} {report.verdict.decision:<21} {counts.rate:>4}%  {share}")
    lines += ["", f"rate       {_spark([float(report.counts.rate) for report in reports], 100.0)}"]
    return lines + [line for name in _drills(reports) for line in _drill(reports, name)]


def _drills(reports: list[Report]) -> list[str]:
    return list(dict.fromkeys(item.id for report in reports for item in report.items if item.outcome.timeline))


def _drill(reports: list[Report], name: str) -> list[str]:
    lines = []
    for what in ("detect", "recover"):
        found = [_time(report, name, what) for report in reports]
        known = [value for value in found if value is not None]
        if known:
            spark = _spark([value if value is not None else 0.0 for value in found], max(known) or 1.0)
            lines.append(f"{what:<10} {spark}  {name}: {known[-1]:.1f} s, {min(known):.1f} to {max(known):.1f} s")
    return lines


def _time(report: Report, name: str, what: str) -> float | None:
    for item in report.items:
        if item.id == name and item.outcome.timeline:
            value: float | None = (
                item.outcome.timeline.detected_after if what == "detect" else item.outcome.timeline.recovered_after
            )
            return value
    return None


def _spark(values: list[float], top: float) -> str:
    return "".join(_BARS[round(max(0.0, min(1.0, value / top)) * (len(_BARS) - 1))] for value in values)
