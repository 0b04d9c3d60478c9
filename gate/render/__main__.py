"""Compile the templates ahead of the first run, as `compileall` does for modules: `python -m gate.render`."""

from __future__ import annotations

from datetime import UTC, datetime

import gate
from gate.i18n.language import LANGUAGES
from gate.model import Decision, Report, Verdict
from gate.render import FORMATS


def main() -> None:
    """Render an empty report in every format and language."""
    now = datetime.now(UTC)
    verdict = Verdict(decision=Decision.NO_GO)
    report = Report(gate=gate.__version__, service="", environment="", started=now, finished=now, verdict=verdict)
    for language in LANGUAGES:
        for name in FORMATS.kinds():
            FORMATS.import_module(name).render(report, language)


if __name__ == "__main__":
    main()
