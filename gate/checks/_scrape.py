"""Scrape an exposition as Prometheus does, once for all checks of the same URL.

The body is written to an unnamed temporary file, so that samples can be reread: memory holds the families only.
"""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from msgspec import Struct, field

from gate.checks._checkout import find_files
from gate.checks.base import ObservationError
from gate.checks.context import CheckContext
from gate.core.messages import Message, msg
from gate.decode.quantities import format_size
from gate.http import client
from gate.http.errors import BodyTooLargeError, HttpError
from gate.http.models import Request, Response
from gate.prometheus.config import InvalidConfigError
from gate.prometheus.config import parse_config as read_config
from gate.prometheus.exposition import Exposition, Family, LimitExceededError, Sample, parse_exposition, reread_samples
from gate.prometheus.media_types import ACCEPT, OPENMETRICS, PROTOBUF, choose_parser
from gate.prometheus.yaml_tree import FILE_LIMIT
from gate.redaction.secrets import OVERLAP, redacted_head

SAMPLE_LIMIT = 10_000
# Characters of the exposition for the evidence.
_HEAD = 2048
_CHUNK = 256 * 1024


class Scrape(Struct, weakref=True):
    """What came back. `failure` says why there is no exposition; it is then empty."""

    exposition: Exposition = field(default_factory=Exposition)
    failure: Message | None = None
    # Why Prometheus would reject the response as a whole, whatever its lines are.
    refusal: Message | None = None
    status: int = 200
    body: IO[bytes] | None = None
    # The first lines, for the evidence.
    head: str = ""

    def __post_init__(self) -> None:
        if self.body is not None:
            weakref.finalize(self, self.body.close)

    def samples(self, family: Family, selects: Callable[[str], bool]) -> list[Sample]:
        """Return the samples of a family whose name is wanted. Raises ObservationError beyond 10,000."""
        if self.body is None or not family.first:
            return []
        line, offset = self.exposition.offset_of(family)
        samples: list[Sample] = []

        def is_selected(name: str) -> bool:
            return name in family.names and selects(name)

        openmetrics = self.exposition.openmetrics
        again = reread_samples(self._chunks(offset), line, family.last, is_selected, openmetrics=openmetrics)
        for sample in again:
            samples.append(sample)
            if len(samples) > SAMPLE_LIMIT:
                raise ObservationError(
                    msg("{name} has more than {limit} samples", name=family.name, limit=SAMPLE_LIMIT)
                )
        return samples

    def _chunks(self, offset: int) -> Iterator[bytes]:
        assert self.body is not None
        while chunk := os.pread(self.body.fileno(), _CHUNK, offset):
            offset += len(chunk)
            yield chunk


def scrape(context: CheckContext, target: str, path: str, limit: int, fallback: str = "") -> Scrape:
    """Return the exposition of a target. Raises ObservationError if it exceeds a limit.

    `fallback` is the `fallback_scrape_protocol` of the job that scrapes the target; if empty, it is looked up in the
    checklist's `scrape_config` items.
    """
    url = context.url(target, path)

    def make() -> Scrape:
        return _scrape(url, limit, lambda: fallback or _fallback_protocol(context, target), context.deadline)

    return context.memo.get(
        ("scrape", target, url, limit, fallback), make, not_before=context.fresh_after, remaining=context.remaining()
    )


def scrape_file(context: CheckContext, path: Path, name: str, limit: int) -> Scrape:
    """Return the exposition of a file: OpenMetrics if it ends with `# EOF`."""

    def make() -> Scrape:
        return _read_file(path, name, limit)

    return context.memo.get(
        ("exposition", path, limit), make, not_before=context.fresh_after, remaining=context.remaining()
    )


def _scrape(url: str, limit: int, fallback: Callable[[], str], deadline: float) -> Scrape:
    headers = {"Accept": ACCEPT, "Accept-Encoding": "gzip", "X-Prometheus-Scrape-Timeout-Seconds": "10"}
    try:
        with client.open_stream(Request(url=url, headers=headers, limit=limit, redirects=10), deadline) as stream:
            media_type, refusal = choose_parser(_first(stream.head, "content-type"), fallback)
            if media_type == PROTOBUF:
                raise ObservationError(
                    msg("The exposition is in the protobuf format, which is not supported; expose a text format")
                )
            scrape = _keep(stream.chunks(), media_type == OPENMETRICS)
            scrape.refusal, scrape.status = refusal or _packed(stream.head), stream.head.status
            return scrape
    except BodyTooLargeError:
        raise _too_large(limit) from None
    except HttpError as failure:
        if failure.phase == "body" and failure.timeout:
            raise ObservationError(msg("The exposition did not end within the timeout")) from None
        return Scrape(failure=failure.message)


def _first(head: Response, name: str) -> str:
    """Return the first value of a header, which is the only one that Prometheus looks at."""
    return next((value for key, value in head.headers if key.lower() == name), "")


def _packed(head: Response) -> Message | None:
    """Return why Prometheus cannot unpack a response, None if it can."""
    coding = _first(head, "content-encoding")
    if coding in ("", "gzip", "identity"):
        return None
    return msg("The Content-Encoding is {coding}: Prometheus takes gzip only", coding=redacted_head(coding, 100))


def _fallback_protocol(context: CheckContext, target: str) -> str:
    """Return the `fallback_scrape_protocol` of a job of the checklist's `scrape_config` items that scrapes a target."""
    for file, name in context.scrape_jobs:
        try:
            with find_files(context, file)[0].open("rb") as opened:
                config = read_config(opened.read(FILE_LIMIT))
        except (OSError, IndexError, InvalidConfigError, ObservationError):
            continue  # the `scrape_config` item reports it
        for job in config.jobs:
            if job.name == name and job.fallback_protocol and _is_scraped(context, target, job.addresses):
                return job.fallback_protocol
    return ""


def _is_scraped(context: CheckContext, target: str, addresses: tuple[str, ...]) -> bool:
    """Check if one of a job's addresses is the target's: by its name, or by the address at which it is reached."""
    running = context.targets[target]
    reached = {
        running.base_url.partition("://")[2].partition("/")[0],
        *(f"{running.host}:{port}" for port in running.ports),
    }
    return any(address.partition(":")[0] == target or address in reached for address in addresses)


def _too_large(limit: int) -> ObservationError:
    return ObservationError(
        msg("The exposition is larger than the limit of {limit}", limit=format_size(limit)),
        advice=msg("Raise its `limit` if the exposition may be that large"),
    )


def _read_file(path: Path, name: str, limit: int) -> Scrape:
    try:
        with path.open("rb") as file:
            if path.stat().st_size > limit:
                raise _too_large(limit)
            file.seek(max(0, path.stat().st_size - 16))
            openmetrics = file.read().rstrip(b"\n").endswith(b"# EOF")
            file.seek(0)
            scrape = _keep(iter(lambda: file.read(_CHUNK), b""), openmetrics)
    except OSError as error:
        raise ObservationError(msg("{path} can't be read: {why}", path=name, why=error.strerror or "")) from error
    return scrape


def _keep(chunks: Iterator[bytes], openmetrics: bool) -> Scrape:
    """Parse an exposition while writing it to a temporary file."""
    body = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed with the Scrape
    head = bytearray()

    def written() -> Iterator[bytes]:
        for chunk in chunks:
            body.write(chunk)
            head.extend(chunk[: max(0, _HEAD + OVERLAP - len(head))])
            yield chunk

    try:
        exposition = parse_exposition(written(), openmetrics=openmetrics)
    except LimitExceededError as error:
        body.close()
        raise ObservationError(error.message) from None
    except BaseException:
        body.close()
        raise
    return Scrape(exposition, body=body, head=redacted_head(head.decode(errors="replace"), _HEAD))
