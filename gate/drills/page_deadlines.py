"""Find pages that a drill waits for less long than Alertmanager waits before it sends them; nothing is run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gate.core.messages import Message, msg
from gate.decode.quantities import format_duration
from gate.drills.protocol import DrillCheck
from gate.staging.spec import Target


def late_pages(checks: Iterable[tuple[str, Any]], targets: Mapping[str, Target], root: Path) -> Iterator[
    tuple[str, int, Message]
]:  # fmt: skip
    """Yield the file, the line and the problem of each page in a drill whose `group_wait` is longer than its `within`.

    `checks` are the checks of the items, by id. A configuration that cannot be read is left to the run.
    """
    for item, check in checks:
        for criterion in check.criteria().get("observe", ()) if isinstance(check, DrillCheck) else ():
            pages = targets[criterion.check.target].pages if criterion.kind == "page" else None
            if pages is not None:
                yield from _problems(item, criterion, pages.config, root)


def _problems(item: str, criterion: Any, file: str, root: Path) -> Iterator[tuple[str, int, Message]]:
    from gate.alertmanager.config import parse_config
    from gate.checks.page import route_to
    from gate.prometheus.config import InvalidConfigError

    try:
        config = parse_config((root / file).read_bytes())
    except (OSError, InvalidConfigError):
        return
    labels = {"alertname": criterion.check.alert, **criterion.check.literal_labels()}
    route = route_to(config, labels, criterion.check.receiver)
    if route is not None and route.group_wait > criterion.total_timeout:
        yield file, route.line, msg(
            "group_wait {wait} is longer than `within: {within}` of the page of {alert} in {item}",
            wait=format_duration(route.group_wait), within=format_duration(criterion.total_timeout),
            alert=criterion.check.alert, item=item)  # fmt: skip
