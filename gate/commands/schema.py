"""`prodgate schema`: prints the JSON Schema of the checklist, or of the report."""

from __future__ import annotations

import argparse
import json

SUMMARY = "print the JSON Schema of the checklist, for completion in editors"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("--report", action="store_true", help="the schema of report.json instead")


def main(options: argparse.Namespace) -> int:
    """Prints a JSON Schema, draft 2020-12."""
    from gate.checklist.schema import checklist_schema, report_schema

    schema = report_schema() if options.report else checklist_schema()
    print(json.dumps(schema, indent=2, ensure_ascii=False))
    return 0
