"""Read the files of the check `dashboards`: each query with its variables filled in."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from msgspec import Struct

from gate.core.messages import Message
from gate.grafana import dashboards, json_text, manifests, queries
from gate.grafana.dashboards import Dashboard, Query
from gate.grafana.json_text import Path
from gate.grafana.manifests import EmbeddedText
from gate.grafana.queries import Reading
from gate.grafana.templating import Variable, built_in
from gate.model import Location
from gate.prometheus.releases import Release
from gate.prometheus.yaml_tree import YamlSyntaxError
from gate.redaction.secrets import redacted_head


class JudgedQuery(Struct, frozen=True):
    """A query of a file's dashboard and how Prometheus reads it.

    `asked`: its data was asked for. `no_data`: why it returned none, None if it did.
    """

    query: Query
    reading: Reading
    dashboard: int
    asked: bool = False
    no_data: Message | None = None

    @property
    def is_judged(self) -> bool:
        """Return whether there is PromQL in it."""
        return self.reading.request is None or self.reading.request.kind != "labels"


class FileError(Struct, frozen=True):
    """Why a file can't be read, and where."""

    message: Message
    line: int
    column: int


class DashboardFile(Struct, frozen=True):
    """A file, its dashboards with their queries, or why it is not one."""

    path: str
    text: str = ""
    # Lines and columns of the file before the text.
    lines: int = 0
    columns: int = 0
    error: FileError | None = None
    dashboards: tuple[Dashboard, ...] = ()
    queries: tuple[JudgedQuery, ...] = ()
    # Seconds between two scrapes: Grafana's intervals are derived from it.
    interval: float = 15.0

    def variables(self, dashboard: Dashboard) -> dict[str, Variable]:
        """Return the variables of a dashboard, Grafana's own included."""
        return {**built_in(self.interval, dashboard.duration, time.time()), **dashboard.variables}

    def locations(self, places: list[tuple[Path, int]]) -> list[Location]:
        """Return where some characters of some values stand in the file."""
        found = json_text.locate(self.text, [path for path, _ in places])
        return [self._location(found.get(path), offset) for path, offset in places]

    def _location(self, value: json_text.Value | None, offset: int) -> Location:
        if value is None:
            return Location(file=self.path)
        text = redacted_head(value.token, 200)
        line, column = value.line + self.lines, value.column_of(offset) + self.columns
        return Location(file=self.path, line=line, column=column, text=text)


def read_file(path: str, raw: bytes, sources: Sequence[str], interval: float) -> list[DashboardFile]:
    """Read the dashboards of a file: JSON, or manifests with JSON in them, each of which counts as a file.

    `sources` are the data sources to judge, all of Prometheus without any.
    """
    if not path.endswith((".yml", ".yaml")):
        return [_read_text(path, EmbeddedText(raw.decode("utf-8", "replace")), sources, interval)]
    try:
        texts = manifests.find_texts(raw)
    except YamlSyntaxError as error:
        return [DashboardFile(path, error=FileError(error.message, error.line, error.column))]
    return [_read_text(path, text, sources, interval) for text in texts] or [DashboardFile(path)]


def _read_text(path: str, embedded: EmbeddedText, sources: Sequence[str], interval: float) -> DashboardFile:
    text, lines, columns = embedded.text, embedded.lines, embedded.columns
    try:
        found = dashboards.read(json_text.parse(text), sources)
    except json_text.JsonSyntaxError as error:
        return DashboardFile(path, error=FileError(error.message, error.line + lines, error.column + columns))
    return DashboardFile(path, text, lines, columns, dashboards=tuple(found), interval=interval)


def judge_queries(file: DashboardFile, release: Release) -> Iterator[JudgedQuery]:
    """Yield each query of a file with what Prometheus reads in it."""
    for number, dashboard in enumerate(file.dashboards):
        variables = file.variables(dashboard)
        for query in dashboard.queries:
            reading = queries.read(query, variables, release, undefined=not dashboard.library)
            yield JudgedQuery(query, reading, number)
