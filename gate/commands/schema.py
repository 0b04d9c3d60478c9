"""Implement `prodgate schema`: print the JSON Schema of the checklist or of the report."""

from __future__ import annotations

import argparse
import json

SUMMARY = "print the JSON Schema of the checklist, for completion in editors"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument(
        "--report", action="store_true", help="print the schema of report.json (default: the checklist's)"
    )


def run(options: argparse.Namespace) -> int:
    """Print a JSON Schema, draft 2020-12."""
    from gate.checklist.schema import checklist_schema, report_schema

    schema = report_schema() if options.report else checklist_schema()
    print(json.dumps(schema, indent=2, ensure_ascii=False))
    return 0
