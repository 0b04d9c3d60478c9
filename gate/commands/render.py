"""`prodgate render`: renders a `report.json` again, in any format and language."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import cast

from gate.i18n.language import LANGUAGES
from gate.redaction.streams import RedactingStream
from gate.render import FORMATS

SUMMARY = "render a report.json in another format or language"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("report", metavar="report.json", help="the report, as a run has written it")
    parser.add_argument("--format", choices=FORMATS.kinds(), default="md", help="of the output (%(default)s)")
    parser.add_argument("--language", choices=LANGUAGES, help="of the output (default: the report's own)")
    parser.add_argument("-o", "--output", metavar="FILE", help="where it goes (default: standard output)")


def main(options: argparse.Namespace) -> int:
    """0: a format never changes a verdict, and the exit code here does not speak of one."""
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
            print(f"prodgate: cannot write {options.output}: {error.strerror}", file=sys.stderr)
            return 2
    else:
        cast(RedactingStream, sys.stdout).write_bytes(content)
    return 0
