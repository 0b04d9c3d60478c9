"""Which parser Prometheus 3 chooses for a scrape by its Content-Type, and when it refuses to parse at all.

It parses the header as Go's `mime.ParseMediaType` does. A blank, invalid or unknown one is refused, unless the job has
a `fallback_scrape_protocol`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from gate.core.messages import Message, msg
from gate.redaction.secrets import redacted_head

ACCEPT = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
"""What Prometheus 3 sends with its default `scrape_protocols`."""
TEXT, OPENMETRICS, PROTOBUF = "text/plain", "application/openmetrics-text", "application/vnd.google.protobuf"
PROTOCOLS = {
    "PrometheusProto": PROTOBUF,
    "PrometheusText0.0.4": TEXT,
    "PrometheusText1.0.0": TEXT,
    "OpenMetricsText0.0.1": OPENMETRICS,
    "OpenMetricsText1.0.0": OPENMETRICS,
}
"""The media types of `fallback_scrape_protocol`."""
_WORD = r"[^\x00-\x20\x7f-\U0010ffff()<>@,;:\\\"/\[\]?=]+"
_TYPE = re.compile(rf"[ \t]*({_WORD}(?:/{_WORD})?)[ \t]*(?=;|\Z)")
_PARAMETER = re.compile(rf'\s*;\s*({_WORD})\s*=\s*({_WORD}|"(?:\\.|[^"\\\r\n])*")')


def parse_media_type(content_type: str) -> str | None:
    """Return the media type of a Content-Type in lower case, None if it is not valid."""
    found = _TYPE.match(content_type)
    if found is None:
        return None
    at, parameters = found.end(), dict[str, str]()
    while parameter := _PARAMETER.match(content_type, at):
        name, value = parameter[1].lower(), parameter[2]
        plain = re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
        if parameters.setdefault(name, plain) != plain:
            return None
        at = parameter.end()
    return found[1].lower() if content_type[at:].strip() in ("", ";") else None


def choose_parser(content_type: str, fallback: Callable[[], str]) -> tuple[str, Message | None]:
    """Return the media type to parse a response as, and why Prometheus refuses the response, if it does.

    `fallback` returns the job's `fallback_scrape_protocol`, or "". A response that is refused can be parsed as text.
    """
    media_type = parse_media_type(content_type) if content_type else None
    if media_type in (TEXT, OPENMETRICS, PROTOBUF):
        return media_type, None
    known = PROTOCOLS.get(fallback())
    if known is not None:
        return known, None
    shown = redacted_head(content_type, 100)
    if not content_type:
        why = msg("The response has no Content-Type")
    elif media_type is None:
        why = msg("The Content-Type is {type}, which is not valid", type=shown)
    else:
        why = msg(
            "The Content-Type is {type}: Prometheus takes text/plain and application/openmetrics-text", type=shown
        )
    return TEXT, why
