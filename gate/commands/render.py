"""Implement `prodgate render`: render a `report.json` in any format and language."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import cast

from gate.i18n.language import LANGUAGES
from gate.redaction.streams import RedactingStream
from gate.render import FORMATS

SUMMARY = "render a report.json in another format or language"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("report", metavar="report.json", help="render this report")
    parser.add_argument(
        "--format", choices=FORMATS.kinds(), default="md", help="write this format (default: %(default)s)"
    )
    parser.add_argument("--language", choices=LANGUAGES, help="write in this language (default: the report's)")
    parser.add_argument("-o", "--output", metavar="FILE", help="write to this file (default: standard output)")


def run(options: argparse.Namespace) -> int:
    """Render the report and return 0 whatever its verdict, or 2 if the output can't be written."""
    from gate.redaction.secrets import default_redactor
    from gate.redaction.structs import redact_struct
    from gate.report.serialization import read_report

    report = redact_struct(read_report(Path(options.report)), default_redactor())
    text = FORMATS.import_module(options.format).render(report, options.language or report.language)
    content = text.encode("utf-8", "replace")
    if options.output:
        try:
            Path(options.output).write_bytes(content)
        except OSError as error:
            print(f"prodgate: {options.output}: cannot be written: {error.strerror}", file=sys.stderr)
            return 2
    else:
        cast(RedactingStream, sys.stdout).write_bytes(content)
    return 0
