"""Scrapes an exposition as Prometheus does, once for all checks that ask the same address at the same time.

The body goes to a file without a name, so that the samples that a check asks for can be read again: memory holds the
families, never the body.
"""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from msgspec import Struct, field

from gate import http
from gate.checks.base import CannotObserve
from gate.checks.world import World
from gate.messages import Message, say
from gate.prometheus.exposition import Exposition, Family, Sample, TooMuch, read, samples_again
from gate.quantities import size
from gate.secrets import REACH, beginning_of

ACCEPT = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1"
SAMPLE_LIMIT = 10_000
_HEAD = 2048
"""Samples of one name whose values are looked at."""
_CHUNK = 256 * 1024


class Scrape(Struct, weakref=True):
    """What came back. `failure` says why there is no exposition; it is then empty."""

    exposition: Exposition = field(default_factory=Exposition)
    failure: Message | None = None
    content_type: str = ""
    status: int = 200
    body: IO[bytes] | None = None
    head: str = ""
    """The first lines, for the evidence."""

    def __post_init__(self) -> None:
        if self.body is not None:
            weakref.finalize(self, self.body.close)

    def samples(self, family: Family, wanted: Callable[[str], bool]) -> list[Sample]:
        """The samples of a family with a wanted name. Raises CannotObserve beyond 10,000."""
        if self.body is None or not family.first:
            return []
        line, offset = self.exposition.start_of(family)
        found: list[Sample] = []

        def asked(name: str) -> bool:
            return name in family.names and wanted(name)

        openmetrics = self.exposition.openmetrics
        again = samples_again(self._chunks(offset), line, family.last, asked, openmetrics=openmetrics)
        for sample in again:
            found.append(sample)
            if len(found) > SAMPLE_LIMIT:
                raise CannotObserve(say("{name} has more than {limit} samples", name=family.name, limit=SAMPLE_LIMIT))
        return found

    def _chunks(self, offset: int) -> Iterator[bytes]:
        assert self.body is not None
        while chunk := os.pread(self.body.fileno(), _CHUNK, offset):
            offset += len(chunk)
            yield chunk


def scrape(world: World, url: str, limit: int) -> Scrape:
    """The exposition at an address. Raises CannotObserve for one over a limit."""

    def make() -> Scrape:
        return _scrape(url, limit, world.deadline)

    return world.memo.get(("scrape", url, limit), make, not_before=world.fresh, remaining=world.remaining())


def scrape_file(world: World, path: Path, name: str, limit: int) -> Scrape:
    """The exposition in a file. It is OpenMetrics where it ends with `# EOF`."""

    def make() -> Scrape:
        return _read_file(path, name, limit)

    return world.memo.get(("exposition", path, limit), make, not_before=world.fresh, remaining=world.remaining())


def _scrape(url: str, limit: int, deadline: float) -> Scrape:
    headers = {"Accept": ACCEPT, "Accept-Encoding": "gzip"}
    try:
        with http.open_stream(http.Request(url=url, headers=headers, limit=limit, redirects=10), deadline) as stream:
            content_type = stream.head.header("content-type") or ""
            made = _keep(stream.chunks(), content_type.split(";")[0].strip().lower() == "application/openmetrics-text")
            made.content_type, made.status = content_type, stream.head.status
            return made
    except http.TooLarge:
        raise _too_large(limit) from None
    except http.HttpFailure as failure:
        if failure.phase == "body" and failure.timeout:
            raise CannotObserve(say("The exposition did not end within the time limit")) from None
        return Scrape(failure=failure.message)


def _too_large(limit: int) -> CannotObserve:
    return CannotObserve(
        say("The exposition is larger than the limit of {limit}", limit=size(limit)),
        advice=say("Raise its `limit` if the exposition may be that large"),
    )


def _read_file(path: Path, name: str, limit: int) -> Scrape:
    try:
        with path.open("rb") as file:
            if path.stat().st_size > limit:
                raise _too_large(limit)
            file.seek(max(0, path.stat().st_size - 16))
            openmetrics = file.read().rstrip(b"\n").endswith(b"# EOF")
            file.seek(0)
            made = _keep(iter(lambda: file.read(_CHUNK), b""), openmetrics)
    except OSError as error:
        raise CannotObserve(say("{path} can't be read: {why}", path=name, why=error.strerror or "")) from error
    return made


def _keep(chunks: Iterator[bytes], openmetrics: bool) -> Scrape:
    """Reads an exposition while it is written down."""
    body = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed with the Scrape
    head = bytearray()

    def written() -> Iterator[bytes]:
        for chunk in chunks:
            body.write(chunk)
            head.extend(chunk[: max(0, _HEAD + REACH - len(head))])
            yield chunk

    try:
        exposition = read(written(), openmetrics=openmetrics)
    except TooMuch as error:
        body.close()
        raise CannotObserve(error.message) from None
    except BaseException:
        body.close()
        raise
    return Scrape(exposition, body=body, head=beginning_of(head.decode(errors="replace"), _HEAD))
