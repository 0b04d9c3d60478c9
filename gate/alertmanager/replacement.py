"""Write a configuration with the routes of production, in which every receiver notifies the gate instead of people."""

from __future__ import annotations

import json
import re
from typing import Any

from gate.alertmanager.config import Config
from gate.prometheus import durations
from gate.prometheus.goyaml import Entries, Values
from gate.prometheus.yaml_tree import Alias, Node, Scalar

# What decides about a notification. Everything else is left out: it could contact an address (`tracing`,
# `event_recorder`, the integrations, a proxy of `global`), or renders what the gate does not need (`templates`).
_KEPT = ("route", "inhibit_rules", "mute_time_intervals", "time_intervals")
# Characters that YAML takes in escapes only.
_CONTROL = re.compile("[\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")


def replaced(config: Config, url: str) -> bytes:
    """Return the configuration as JSON, which is YAML. `url` is the gate's endpoint.

    An integration becomes a webhook with the path `/NUMBER OF THE RECEIVER/KIND`. A receiver without integrations
    keeps none: in production, it would notify nobody.
    """
    document = config.document
    made: dict[str, Any] = {key: _plain(document[key], document.values_at[key]) for key in _KEPT if document[key]}
    settings = document["global"]
    if settings is not None and "resolve_timeout" in settings:
        made["global"] = {"resolve_timeout": durations.text(settings["resolve_timeout"])}
    made["receivers"] = [
        {
            "name": receiver.name,
            **(
                {"labels": dict(document["receivers"][number]["labels"])}
                if document["receivers"][number]["labels"]
                else {}
            ),
            "webhook_configs": [
                {"url": f"{url}/{number}/{integration.kind}", "send_resolved": integration.send_resolved}
                for integration in receiver.integrations
            ],
        }
        for number, receiver in enumerate(config.receivers)
    ]
    text = json.dumps(made, ensure_ascii=False, indent=1)
    return _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", text).encode()


def _plain(value: Any, node: Node) -> Any:
    """Return a decoded value as it has to be written: texts as in the file, whatever they were converted to."""
    while isinstance(node, Alias):
        node = node.target
    if isinstance(value, Values):
        return {key: _plain(value[key], value.values_at[key]) for key in value}
    if isinstance(value, Entries):
        return [_plain(entry, value.nodes[at]) for at, entry in enumerate(value)]
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(node, Scalar):
        return value if isinstance(value, str) else node.value
    # `matchers`: a list of texts that was converted as a whole.
    assert isinstance(value, list)
    return [str(matcher) for matcher in value]
