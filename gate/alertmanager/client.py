"""Query the API of a running Alertmanager: the alerts that it has, and why it does not notify anybody of them.

https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml
"""

from __future__ import annotations

from typing import TypeVar
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Struct, field

from gate.alertmanager.matchers import Matcher, shown
from gate.core.errors import GateError
from gate.core.messages import msg
from gate.http import client
from gate.http.errors import HttpError
from gate.http.models import Request
from gate.redaction.secrets import redacted_head

_LIMIT = 8 * 2**20
Data = TypeVar("Data")


class AlertmanagerError(GateError):
    """Alertmanager did not respond, or not as Alertmanager does."""


class _Receiver(Struct):
    name: str


class _Status(Struct, rename="camel"):
    state: str = ""
    silenced_by: list[str] = []
    inhibited_by: list[str] = []
    muted_by: list[str] = []


class KnownAlert(Struct, rename="camel"):
    """Represent an alert that Alertmanager has received, with the receivers that it is routed to."""

    labels: dict[str, str]
    fingerprint: str
    status: _Status = field(default_factory=_Status)
    receivers: list[_Receiver] = []

    @property
    def receiver_names(self) -> list[str]:
        """Return the names of its receivers."""
        return [receiver.name for receiver in self.receivers]


class _SilenceMatcher(Struct, rename="camel"):
    name: str
    value: str
    is_regex: bool = False
    is_equal: bool = True


class Silence(Struct, rename="camel"):
    """Represent a silence: who made it, why, and until when."""

    created_by: str = ""
    comment: str = ""
    ends_at: str = ""
    matchers: list[_SilenceMatcher] = []

    @property
    def text(self) -> str:
        """Return its matchers as Alertmanager writes them."""
        signs = {(True, False): "=", (False, False): "!=", (True, True): "=~", (False, True): "!~"}
        return ", ".join(
            str(Matcher(each.name, signs[each.is_equal, each.is_regex], each.value))  # type: ignore[arg-type]
            for each in self.matchers
        )


class Api:
    """Query one Alertmanager. `deadline` is a `time.monotonic()` timestamp. Raises AlertmanagerError."""

    def __init__(self, base_url: str, deadline: float) -> None:
        self.base_url = base_url.rstrip("/")
        self.deadline = deadline

    def alerts(self, name: str) -> list[KnownAlert]:
        """Return the alerts of a name, muted ones included."""
        query = urlencode({"filter": str(Matcher("alertname", "=", name))})
        return self._get(f"alerts?{query}", list[KnownAlert])

    def every_alert(self) -> list[KnownAlert]:
        """Return all alerts."""
        return self._get("alerts", list[KnownAlert])

    def silence(self, number: str) -> Silence:
        """Return a silence by its id."""
        return self._get(f"silence/{quote(number, safe='')}", Silence)

    def inhibitors(self, fingerprints: list[str]) -> list[str]:
        """Return the labels of the alerts with some fingerprints, as text."""
        return [shown(alert.labels) for alert in self.every_alert() if alert.fingerprint in fingerprints]

    def _get(self, path: str, target: type[Data]) -> Data:
        request = Request(url=f"{self.base_url}/api/v2/{path}", headers={"Accept": "application/json"}, limit=_LIMIT)
        try:
            response = client.send(request, self.deadline)
        except HttpError as failure:
            raise AlertmanagerError(msg("Alertmanager did not respond: {why}", why=failure.message)) from None
        try:
            if response.status != 200 or response.truncated:
                raise ValueError(f"HTTP {response.status}")
            return msgspec.json.decode(response.body, type=target)
        except (ValueError, RecursionError, msgspec.DecodeError) as error:
            raise AlertmanagerError(
                msg("The server is not an Alertmanager API: {why}; check the URL", why=redacted_head(str(error), 200))
            ) from None
