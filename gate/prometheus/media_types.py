"""Choose the parser of a scrape by its Content-Type, as Prometheus 3 does.

The header is parsed like Go's `mime.ParseMediaType`. Prometheus rejects a response with a blank, invalid or unknown
one, unless the job has a `fallback_scrape_protocol`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from gate.core.messages import Message, msg
from gate.redaction.secrets import redacted_head

# The Accept header of Prometheus 3 with its default `scrape_protocols`.
ACCEPT = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
TEXT, OPENMETRICS, PROTOBUF = "text/plain", "application/openmetrics-text", "application/vnd.google.protobuf"
# The media types of `fallback_scrape_protocol`.
PROTOCOLS = {
    "PrometheusProto": PROTOBUF,
    "PrometheusText0.0.4": TEXT,
    "PrometheusText1.0.0": TEXT,
    "OpenMetricsText0.0.1": OPENMETRICS,
    "OpenMetricsText1.0.0": OPENMETRICS,
}
_WORD = r"[^\x00-\x20\x7f-\U0010ffff()<>@,;:\\\"/\[\]?=]+"
_TYPE = re.compile(rf"[ \t]*({_WORD}(?:/{_WORD})?)[ \t]*(?=;|\Z)")
_PARAMETER = re.compile(rf'\s*;\s*({_WORD})\s*=\s*({_WORD}|"(?:\\.|[^"\\\r\n])*")')


def parse_media_type(content_type: str) -> str | None:
    """Return the media type of a Content-Type in lower case, None if it is not valid."""
    match = _TYPE.match(content_type)
    if match is None:
        return None
    at, parameters = match.end(), dict[str, str]()
    while parameter := _PARAMETER.match(content_type, at):
        name, value = parameter[1].lower(), parameter[2]
        plain = re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
        if parameters.setdefault(name, plain) != plain:
            return None
        at = parameter.end()
    return match[1].lower() if content_type[at:].strip() in ("", ";") else None


def choose_parser(content_type: str, fallback: Callable[[], str]) -> tuple[str, Message | None]:
    """Return the media type to parse a response as, and why Prometheus rejects it, if it does.

    `fallback` returns the job's `fallback_scrape_protocol`, or "". A rejected response can be parsed as text.
    """
    media_type = parse_media_type(content_type) if content_type else None
    if media_type in (TEXT, OPENMETRICS, PROTOBUF):
        return media_type, None
    fallback_type = PROTOCOLS.get(fallback())
    if fallback_type is not None:
        return fallback_type, None
    shown = redacted_head(content_type, 100)
    if not content_type:
        why = msg("The response has no Content-Type")
    elif media_type is None:
        why = msg("The Content-Type is {type}, which is not valid", type=shown)
    else:
        why = msg(
            "The Content-Type is {type}; Prometheus accepts text/plain and application/openmetrics-text", type=shown
        )
    return TEXT, why
