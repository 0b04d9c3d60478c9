"""Parse a prometheus.yml as Prometheus does, and the files that it names as `promtool check config` does.

https://prometheus.io/docs/prometheus/latest/configuration/configuration/
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec
from msgspec import Struct, structs

from gate.core.errors import GateError
from gate.core.messages import Message, msg
from gate.decode import regex
from gate.prometheus import config_schema, durations, manifests, releases, rules, service_monitors
from gate.prometheus.goyaml import Decoder, Entries, Kind, Problem, Values
from gate.prometheus.relabelling import relabelled
from gate.prometheus.releases import Release
from gate.prometheus.yaml_tree import FILE_LIMIT, Node, Scalar, YamlSyntaxError, parse

# Default seconds between two scrapes, and between two evaluations.
DEFAULT_INTERVAL = 60.0
_PATH = re.compile(r"[^*]*(?:\*[^/]*)?")
_LEGACY, _UTF8 = "legacy", "utf8"
_ESCAPINGS = ("allow-utf-8", "underscores", "dots", "values")
_STRATEGIES = ("", "UnderscoreEscapingWithSuffixes", "NoTranslation", "NoUTF8EscapingWithSuffixes")
# The keys of files that `promtool check config` reads, and of those that it only looks for.
_PATTERN_KEYS = ("rule_files", "scrape_config_files", "files")
_FILE_KEYS = ("credentials_file", "bearer_token_file", "cert_file", "key_file")
# Maximum number of files that one pattern matches.
_FILES = 1000


class InvalidConfigError(GateError):
    """A configuration that Prometheus would not load. Lines count from 1.

    `file` is the included file with the problem; empty for the prometheus.yml itself.
    """

    def __init__(self, message: Message, line: int, column: int = 1, file: str = "") -> None:
        super().__init__(message)
        self.line, self.column, self.file = line, column, file


class Job(Struct, frozen=True):
    """A job of `scrape_configs`. `interval` is in seconds; `own_interval` is False if another file decides about it.

    `addresses` are its static targets, `discovery` the keys of its other service discoveries.
    """

    name: str
    line: int
    metrics_path: str
    scheme: str
    interval: float
    addresses: tuple[str, ...] = ()
    discovery: tuple[str, ...] = ()
    # Its `fallback_scrape_protocol`, for responses without a usable Content-Type.
    fallback_protocol: str = ""
    # The file of `scrape_config_files` that defines it; empty for the prometheus.yml itself.
    file: str = ""
    # The `ServiceMonitor` of which the Prometheus Operator makes it.
    monitor: str = ""
    own_interval: bool = True


class Config(Struct, frozen=True):
    """The part of a prometheus.yml that checks use. Intervals are in seconds.

    `unseen` are files outside of the checkout.
    """

    jobs: tuple[Job, ...] = ()
    rule_files: tuple[str, ...] = ()
    scrape_interval: float = DEFAULT_INTERVAL
    evaluation_interval: float = DEFAULT_INTERVAL
    unseen: tuple[str, ...] = ()


class Surroundings(Struct, frozen=True):
    """The folder of a prometheus.yml, and the root that its paths must not leave."""

    folder: Path
    root: Path

    def glob(self, pattern: str) -> list[Path] | None:
        """Return the files that match a pattern; None if it leads out of the root.

        Raise ValueError for an invalid pattern.
        """
        matches = _glob_pattern(pattern)
        whole = self.folder / pattern
        if not _is_within(whole, self.root):
            return None
        fixed = PurePosixPath(pattern)
        if not pattern:
            return []
        if not any(mark in pattern for mark in "*?[\\"):
            return [self.folder / fixed] if (self.folder / fixed).exists() else []
        return sorted(_walk([self.folder if not fixed.is_absolute() else Path("/")], matches))[:_FILES]


def _is_within(path: Path, root: Path) -> bool:
    plain = Path(*[part for part in path.parts if part != "."])
    resolved = path.resolve()
    return (root in plain.parents and ".." not in plain.parts) or root in (resolved, *resolved.parents)


def _glob_pattern(pattern: str) -> list[str]:
    """Convert a pattern of Go's `filepath.Match` to a regular expression per path segment. Raise ValueError."""
    return [_part(part) for part in pattern.split("/") if part not in ("", ".")]


def _part(part: str) -> str:
    pattern, at = "", 0
    while at < len(part):
        letter = part[at]
        if letter == "[":
            text, at = _range(part, at + 1)
            pattern += text
            continue
        if letter == "\\":
            at += 1
            if at == len(part):
                raise ValueError(part)
            letter = part[at]
            pattern += re.escape(letter)
        else:
            pattern += {"*": "[^/]*", "?": "[^/]"}.get(letter, re.escape(letter))
        at += 1
    return f"^(?s:{pattern})$"


def _range(part: str, at: int) -> tuple[str, int]:
    """Convert `[a-z]` to a regular expression; return it and the index behind it. Raise ValueError."""
    negated = part[at : at + 1] == "^"
    at += negated
    ranges: list[str] = []
    while part[at : at + 1] != "]" or not ranges:
        low, at = _letter(part, at)
        high = low
        if part[at : at + 1] == "-":
            high, at = _letter(part, at + 1)
        if low <= high:
            ranges.append(f"{re.escape(low)}-{re.escape(high)}")
        else:
            ranges.append("")
    return f"[{'^' * negated}{''.join(ranges) or chr(0)}]", at + 1


def _letter(part: str, at: int) -> tuple[str, int]:
    if part[at : at + 1] == "\\":
        at += 1
    elif part[at : at + 1] in ("-", "]", ""):
        raise ValueError(part)
    if at >= len(part):
        raise ValueError(part)
    return part[at], at + 1


def _walk(folders: list[Path], parts: list[str]) -> Iterator[Path]:
    paths = folders
    for part in parts:
        paths = [entry for folder in paths if folder.is_dir() for entry in folder.iterdir()
                 if regex.search(part, entry.name)][:_FILES]  # fmt: skip
    yield from paths


def parse_config(
    raw: bytes, release: Release | None = None, surroundings: Surroundings | None = None, *, lenient: bool = False
) -> Config:
    """Parse a prometheus.yml, and the files that it names if `surroundings` is given.

    Raise InvalidConfigError; a lenient call only for text that is not YAML, and it reads no other files.
    """
    return _Reader(release or Release(), None if lenient else surroundings, lenient=lenient).read(raw)


def parse_service_monitors(raw: bytes, release: Release | None = None) -> Config | None:
    """Return the jobs that the Prometheus Operator makes of a manifest; None if the file is not a manifest.

    Raise InvalidConfigError.
    """
    read = service_monitors.read_service_monitors(raw)
    if read is None:
        return None
    _raise_first(list(read.problems))
    decoder = Decoder(release or Release(), 2)
    top = decoder.decode(read.config, config_schema.FILE)
    _raise_first(decoder.problems)
    jobs = [_job(values, DEFAULT_INTERVAL, "") for values in top["scrape_configs"] or ()]
    return Config(
        tuple(
            structs.replace(job, monitor=read.monitors[job.name], own_interval="scrape_interval" in values)
            for job, values in zip(jobs, top["scrape_configs"] or (), strict=True)
        )
    )


def service_monitors_text(raw: bytes) -> bytes | None:
    """Return the prometheus.yml that the Prometheus Operator makes of a manifest; None if the file is none."""
    read = service_monitors.read_service_monitors(raw)
    return None if read is None else manifests.to_yaml(read.config)


class NamedFiles(Struct, frozen=True):
    """The files that a prometheus.yml names, and those of its scrape configurations.

    `outside` are names that lead out of the root. `rules` are the rule files among `files`.
    """

    files: tuple[Path, ...]
    rules: tuple[Path, ...]
    outside: tuple[str, ...]


def named_files(raw: bytes, surroundings: Surroundings) -> NamedFiles:
    """Return the files that a prometheus.yml names, as far as it can be read."""
    files: dict[Path, None] = {}
    rules: dict[Path, None] = {}
    outside: dict[str, None] = {}

    def collect(raw: bytes, kind: Kind) -> None:
        try:
            values = Decoder(Release(), 2, lenient=True).decode(parse(raw) or Scalar("", True, 1, 1), kind)
        except YamlSyntaxError:
            return
        for key, name in _names(values):
            try:
                found = surroundings.glob(name)
            except ValueError:
                continue
            if found is None:
                outside[name] = None
            for path in found or ():
                if path in files or not path.is_file() or len(files) >= _FILES:
                    continue
                files[path] = None
                if key == "rule_files":
                    rules[path] = None
                if key == "scrape_config_files":
                    collect(read_start(path), config_schema.JOB_FILE)

    collect(raw, config_schema.FILE)
    return NamedFiles(tuple(files), tuple(rules), tuple(outside))


def read_start(path: Path) -> bytes:
    """Return the content of a file up to the limit, nothing if it can't be read."""
    try:
        with path.open("rb") as file:
            return file.read(FILE_LIMIT)
    except OSError:
        return b""


def _names(values: Any) -> Iterator[tuple[str, str]]:
    """Yield the paths and patterns in a configuration, each with its key."""
    if isinstance(values, Entries):
        for entry in values:
            yield from _names(entry)
    for key, value in values.items() if isinstance(values, Values) else ():
        if key in _PATTERN_KEYS:
            yield from ((key, name) for name in value or ())
        elif key in _FILE_KEYS and value:
            yield key, _escaped(value)
        else:
            yield from _names(value)


def _escaped(path: str) -> str:
    """Return the pattern that matches one path only."""
    return re.sub(r"([*?\[\\])", r"\\\1", path)


class _Reader:
    """A parser of one prometheus.yml."""

    def __init__(self, release: Release, surroundings: Surroundings | None, *, lenient: bool) -> None:
        self.release, self.surroundings, self.lenient = release, surroundings, lenient
        self.unseen: list[str] = []

    def read(self, raw: bytes) -> Config:
        decoder = Decoder(self.release, 2, lenient=self.lenient)
        top = _decoded(raw, config_schema.FILE, decoder)
        if not isinstance(top, Values):
            return Config()
        general: Values = top["global"] if top["global"] is not None and "global" in top else Values(top.node)
        has_general = bool(general.node is not top.node and not _is_null(general.node))
        self._paths(top, decoder)
        for name in ("remote_write", "remote_read"):
            _unique(top[name], "name", name, decoder)
        if releases.AGENT in self.release.flags:
            _refuse_in_agent_mode(top, decoder)
        _refuse_without_flags(top, general, decoder)
        checked = self._jobs(top["scrape_configs"], general if has_general else None, decoder)
        _raise_first(decoder.problems)
        self._strategy(top, general if has_general else None, decoder)
        _raise_first(decoder.problems)
        if self.surroundings is not None:
            self._files_of(top, general if has_general else None, checked)
        scrape = general["scrape_interval"] or DEFAULT_INTERVAL
        return Config(
            jobs=tuple(_job(values, scrape, file) for file, values in checked),
            rule_files=tuple(top["rule_files"] or ()),
            scrape_interval=scrape,
            evaluation_interval=general["evaluation_interval"] or DEFAULT_INTERVAL,
            unseen=tuple(dict.fromkeys(self.unseen)),
        )

    def _paths(self, top: Values, decoder: Decoder) -> None:
        for key in ("rule_files", "scrape_config_files"):
            for at, name in enumerate(top[key] or ()):
                if not _PATH.fullmatch(name):
                    decoder.problem(top[key].nodes[at], msg(
                        "{path} is not a path of {key}: only its last part may have an asterisk",
                        path=name, key=key))  # fmt: skip

    def _jobs(self, jobs: Any, general: Values | None, decoder: Decoder) -> list[tuple[str, Values]]:
        """Validate each job together with `global`; return the jobs with the empty name of the file itself."""
        names: dict[str, Node] = {}
        for at, job in enumerate(jobs or ()):
            if job is None:
                decoder.problem(jobs.nodes[at], msg("{key} has an empty entry", key="scrape_configs"))
                continue
            self._job(job, general, decoder)
            if job["job_name"] in names:
                decoder.problem(job.node, msg("duplicate job {name}, first defined on line {line}",
                                              name=job["job_name"], line=names[job["job_name"]].line))  # fmt: skip
            names[job["job_name"]] = job.node
        return [("", job) for job in jobs or () if job is not None]

    def _job(self, job: Values, general: Values | None, decoder: Decoder) -> None:
        interval = job["scrape_interval"] or (general and general["scrape_interval"]) or DEFAULT_INTERVAL
        if job["scrape_timeout"] > interval:
            decoder.problem(job.at("scrape_timeout"), msg("scrape_timeout is longer than the scrape interval"))
        config_schema.job_protocols(job, decoder)
        if self.release.version >= (2, 55):
            self._names(job, general, decoder)

    def _names(self, job: Values, general: Values | None, decoder: Decoder) -> None:
        """Validate the schemes for metric names, which a job inherits from `global`."""
        inherited = (general["metric_name_validation_scheme"] if general is not None else "") or _UTF8
        scheme = job["metric_name_validation_scheme"] or inherited
        for place, value in ((general, inherited), (job, scheme)):
            if value not in (_LEGACY, _UTF8):
                decoder.problem(_at(place, job, "metric_name_validation_scheme"), msg(
                    "metric_name_validation_scheme: {text} is not one of {choices}", text=value,
                    choices=f"{_LEGACY}, {_UTF8}"))  # fmt: skip
                return
        if self.release.version < (3, 4):
            return
        above = general["metric_name_escaping_scheme"] if general is not None else _ESCAPINGS[0]
        above = above or (_ESCAPINGS[1] if inherited == _LEGACY else _ESCAPINGS[0])
        own = job["metric_name_escaping_scheme"] or above
        if (
            not job["metric_name_escaping_scheme"]
            and self.release.version >= (3, 6)
            and job["metric_name_validation_scheme"]
        ):
            own = _ESCAPINGS[1] if scheme == _LEGACY else _ESCAPINGS[0]
        for place, value in ((general, above), (job, own)):
            if value not in _ESCAPINGS:
                decoder.problem(_at(place, job, "metric_name_escaping_scheme"), msg(
                    "metric_name_escaping_scheme: {text} is not one of {choices}", text=value,
                    choices=", ".join(_ESCAPINGS)))  # fmt: skip
                return
        if own == _ESCAPINGS[0] and scheme != _UTF8:
            decoder.problem(job.at("metric_name_escaping_scheme", "metric_name_validation_scheme"), msg(
                "The escaping scheme {scheme} excludes the validation scheme legacy; set metric_name_escaping_scheme:"
                " underscores", scheme=own))  # fmt: skip

    def _strategy(self, top: Values, general: Values | None, decoder: Decoder) -> None:
        otlp = top["otlp"]
        strategy = otlp["translation_strategy"] if "otlp" in top else ""
        strategies = (*_STRATEGIES, *(("UnderscoreEscapingWithoutSuffixes",) if self.release.version >= (3, 6) else ()))
        if strategy not in strategies:
            choices = ", ".join(strategies[1:])
            decoder.problem(otlp.at("translation_strategy"), msg("{key}: {text} is not one of {choices}",
                            key="translation_strategy", text=strategy, choices=choices))  # fmt: skip
        legacy = general is not None and general["metric_name_validation_scheme"] == _LEGACY
        if legacy and strategy in _STRATEGIES[2:]:
            decoder.problem(otlp.at("translation_strategy"), msg(
                "The translation strategy {text} needs metric_name_validation_scheme: utf8, not legacy",
                text=strategy))  # fmt: skip

    # The files that `promtool check config` checks, too

    def _files_of(self, top: Values, general: Values | None, jobs: list[tuple[str, Values]]) -> None:
        rule_files = self._rule_files(top)
        jobs += self._job_files(top, general, {job["job_name"] for _, job in jobs})
        for file, job in jobs:
            self._job_surroundings(job, general, file)
        for alertmanager in (top["alerting"] or {}).get("alertmanagers") or () if "alerting" in top else ():
            self._alertmanager(alertmanager)
        for path in rule_files:
            self._rules_of(path)

    def _glob(self, pattern: str, at: Node, file: str = "") -> list[Path] | None:
        assert self.surroundings is not None
        try:
            paths = self.surroundings.glob(pattern)
        except ValueError:
            raise InvalidConfigError(
                msg("{path} is not a valid pattern", path=pattern), at.line, at.column, file
            ) from None
        if paths is None:
            self.unseen.append(pattern)
        return paths

    def _rule_files(self, top: Values) -> list[Path]:
        files: list[Path] = []
        for at, pattern in enumerate(top["rule_files"] or ()):
            node = top["rule_files"].nodes[at]
            paths = self._glob(pattern, node)
            if paths is not None and not paths and "*" not in pattern:
                raise InvalidConfigError(
                    msg(
                        "The rule file {path} does not exist, and Prometheus loads no rules from it;"
                        " correct rule_files",
                        path=pattern,
                    ),
                    node.line,
                    node.column,
                )
            files += paths or []
        return files

    def _job_files(self, top: Values, general: Values | None, names: set[str]) -> list[tuple[str, Values]]:
        jobs: list[tuple[str, Values]] = []
        for at, pattern in enumerate(top["scrape_config_files"] or ()):
            for path in self._glob(pattern, top["scrape_config_files"].nodes[at]) or ():
                file = self._shown(path)
                for job in self._jobs_of(path, file, general):
                    if job["job_name"] in names:
                        raise InvalidConfigError(
                            msg("duplicate job {name}, already defined in another file", name=job["job_name"]),
                            job.node.line,
                            file=file,
                        )
                    names.add(job["job_name"])
                    jobs.append((file, job))
        return jobs

    def _jobs_of(self, path: Path, file: str, general: Values | None) -> list[Values]:
        decoder = Decoder(self.release, 2)
        try:
            top = _decoded(self._raw(path, file), config_schema.JOB_FILE, decoder)
            jobs = self._jobs(top["scrape_configs"], general, decoder)
            _raise_first(decoder.problems)
        except InvalidConfigError as error:
            raise InvalidConfigError(error.message, error.line, error.column, file) from None
        return [job for _, job in jobs]

    def _job_surroundings(self, job: Values, general: Values | None, file: str) -> None:
        authorization = job["authorization"]
        self._exists(authorization if authorization is not None else job, file,
                     "credentials_file" if authorization is not None else "bearer_token_file")  # fmt: skip
        for client in (job, *(job["kubernetes_sd_configs"] or ())):
            self._certificate(client["tls_config"], file)
        for group in job["static_configs"] or ():
            self._targets(group, job, general, file)
        for discovery in job["file_sd_configs"] or ():
            for path, groups in self._target_files(discovery, file):
                for group in groups:
                    self._targets(group, job, general, path)

    def _certificate(self, tls: Values | None, file: str) -> None:
        """Validate that both files of a client certificate are given and exist."""
        if tls is not None and bool(tls["cert_file"]) != bool(tls["key_file"]):
            at = tls.at("cert_file", "key_file")
            raise InvalidConfigError(msg("cert_file and key_file come together"), at.line, at.column, file)
        self._exists(tls, file, "cert_file", "key_file")

    def _exists(self, values: Values | None, file: str, *keys: str) -> None:
        """Raise InvalidConfigError if a named file does not exist."""
        # A path outside of the root may be mounted on the machine that runs Prometheus: it is not checked.
        for key in keys:
            name = values[key] if values is not None else ""
            if name and values is not None and self._glob(_escaped(name), values.at(key), file) == []:
                at = values.at(key)
                raise InvalidConfigError(
                    msg("{key}: {path} does not exist", key=key, path=name), at.line, at.column, file
                )

    def _target_files(self, discovery: Values, file: str) -> Iterator[tuple[str, list[Values]]]:
        for at, pattern in enumerate(discovery["files"] or ()):
            for path in self._glob(pattern, discovery["files"].nodes[at], file) or ():
                name = self._shown(path)
                yield name, self._groups(path, name)

    def _groups(self, path: Path, name: str) -> list[Values]:
        """Return the target groups of a file of `file_sd_configs`. Raise InvalidConfigError."""
        raw = self._raw(path, name)
        decoder = Decoder(self.release, 2)
        if path.suffix.lower() == ".json":
            raw = _json(raw, name)
        groups = _decoded(raw, config_schema.TARGET_GROUPS, decoder, name)
        for at, group in enumerate(groups or ()):
            if group is None:
                raise InvalidConfigError(msg("A group of targets is empty"), groups.nodes[at].line, file=name)
        return list(groups or ())

    def _targets(self, group: Values, job: Values, general: Values | None, file: str) -> None:
        interval = job["scrape_interval"] or (general and general["scrape_interval"]) or DEFAULT_INTERVAL
        timeout = job["scrape_timeout"] or min((general and general["scrape_timeout"]) or 10.0, interval)
        base = {"job": job["job_name"], "__scrape_interval__": durations.text(interval),
                "__scrape_timeout__": durations.text(timeout), "__metrics_path__": job["metrics_path"],
                "__scheme__": job["scheme"]}  # fmt: skip
        base |= {f"__param_{name}": values[0] for name, values in (job["params"] or {}).items() if values}
        own = {name: value for name, value in (group["labels"] or {}).items() if name != "__address__" and value}
        for at, address in enumerate(group["targets"] or ()):
            labels = relabelled({**base, **own, "__address__": address}, job["relabel_configs"] or (), self.release)
            reason = labels is not None and _unscrapable(labels, self.release)
            if reason:
                node = group["targets"].nodes[at]
                raise InvalidConfigError(reason, node.line, node.column, file)

    def _alertmanager(self, values: Values | None) -> None:
        if values is None:
            return
        groups = [("", group) for group in values["static_configs"] or ()]
        for discovery in values["file_sd_configs"] or ():
            groups += [
                (name, group) for name, file_groups in self._target_files(discovery, "") for group in file_groups
            ]
        for file, group in groups:
            for at, address in enumerate(group["targets"] or ()):
                base = {"__scheme__": values["scheme"], **(group["labels"] or {}), "__address__": address}
                labels = relabelled(base, values["relabel_configs"] or (), self.release)
                if labels is not None and "/" in labels.get("__address__", ""):
                    node = group["targets"].nodes[at]
                    raise InvalidConfigError(_not_an_address(labels["__address__"]), node.line, node.column, file)

    def _rules_of(self, path: Path) -> None:
        name = self._shown(path)
        for problem in rules.parse_rule_file(self._raw(path, name), self.release).problems:
            raise InvalidConfigError(problem.reason, problem.line, problem.column, name)

    def _raw(self, path: Path, name: str) -> bytes:
        try:
            with path.open("rb") as file:
                raw = file.read(FILE_LIMIT + 1)
        except OSError as error:
            raise InvalidConfigError(
                msg("{path} cannot be read: {why}", path=name, why=error.strerror or ""), 1, file=name
            ) from None
        if len(raw) > FILE_LIMIT:
            raise InvalidConfigError(msg("The file is larger than 32 MiB"), 1, file=name)
        return raw

    def _shown(self, path: Path) -> str:
        assert self.surroundings is not None
        resolved = path.resolve()
        return (
            str(resolved.relative_to(self.surroundings.root))
            if self.surroundings.root in resolved.parents
            else str(path)
        )


def _decoded(raw: bytes, kind: Kind, decoder: Decoder, file: str = "") -> Any:
    """Decode the first document of a file as a kind. Raise InvalidConfigError."""
    try:
        values = decoder.decode(parse(raw) or Scalar("", True, 1, 1), kind)
    except YamlSyntaxError as error:
        raise InvalidConfigError(error.message, error.line, error.column, file) from None
    _raise_first(decoder.problems, file)
    return values


def _raise_first(problems: list[Problem], file: str = "") -> None:
    if problems:
        first = min(problems, key=lambda problem: (problem.line, problem.column))
        raise InvalidConfigError(first.reason, first.line, first.column, file)


def _refuse_in_agent_mode(top: Values, decoder: Decoder) -> None:
    alerting = top["alerting"] or {}
    for key, used in (
        ("alerting", bool(alerting.get("alertmanagers") or alerting.get("alert_relabel_configs"))),
        ("rule_files", bool(top["rule_files"])),
        ("remote_read", bool(top["remote_read"])),
    ):
        if used:
            decoder.problem(top.at(key), msg("Prometheus in agent mode takes no '{key}'", key=key))


def _refuse_without_flags(top: Values, general: Values, decoder: Decoder) -> None:
    """Refuse what a release of the transition to Prometheus 3 loads only with a feature flag."""
    release = decoder.release
    if release.version < (3, 0) and not release.utf8 and general["metric_name_validation_scheme"] == _UTF8:
        decoder.problem(general.at("metric_name_validation_scheme"),
                        msg("{name} needs the feature flag {flag}", name=_UTF8, flag=releases.UTF8_NAMES))  # fmt: skip
    for entry in top["remote_write"] or ():
        if (
            entry is not None
            and entry["protobuf_message"] == config_schema.REMOTE_WRITE_2
            and not release.enables(releases.METADATA)
        ):
            decoder.problem(entry.at("protobuf_message"), msg("{name} needs the feature flag {flag}",
                            name=config_schema.REMOTE_WRITE_2, flag=releases.METADATA))  # fmt: skip


def _is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.null


def _at(place: Values | None, job: Values, key: str) -> Node:
    return place.at(key) if place is not None else job.node


def _unique(entries: Any, key: str, what: Message | str, decoder: Decoder) -> None:
    names: set[str] = set()
    for at, entry in enumerate(entries or ()):
        if entry is None:
            decoder.problem(entries.nodes[at], msg("{key} has an empty entry", key=what))
        elif entry[key] and entry[key] in names:
            decoder.problem(entry.at(key), msg("{what}: duplicate name {name}",
                                               what=what, name=entry[key]))  # fmt: skip
        else:
            names.add(entry[key])


def _unscrapable(labels: dict[str, str], release: Release) -> Message | None:
    """Return why Prometheus would not scrape a target with these labels, else None."""
    address = labels.get("__address__", "")
    if not address:
        return msg("A target has no address")
    scheme = labels.get("__scheme__", "")
    adds_port = not release.enables(releases.NO_DEFAULT_PORT) and not _has_port(address) and _has_port(f"{address}:1")
    if adds_port and scheme not in ("", "http", "https"):
        return msg("{address} has no port, and there is no default port for the scheme {scheme}",
                   address=address, scheme=scheme)  # fmt: skip
    if "/" in address:
        return _not_an_address(address)
    times = []
    for name in ("__scrape_interval__", "__scrape_timeout__"):
        value = durations.seconds(labels.get(name, ""))
        if not value:
            return msg("{key}: {text} is not a duration, such as 30s or 1h30m", key=name, text=labels.get(name, '""'))
        times.append(value)
    return msg("scrape_timeout is longer than the scrape interval") if times[1] > times[0] else None


def _has_port(address: str) -> bool:
    """Return True if Go's `net.SplitHostPort` accepts an address."""
    host, colon, port = address.rpartition(":")
    if host.startswith("["):
        host, closing, rest = host[1:].partition("]")
        return bool(colon and closing and not rest) and not any(mark in host + port for mark in "[]")
    return bool(colon) and not any(mark in host + port for mark in ":[]")


def _not_an_address(address: str) -> Message:
    return msg("{address} is not a valid target; expected host:port without a scheme or a path", address=address)


def _json(raw: bytes, name: str) -> bytes:
    """Re-encode a JSON file so that the YAML parser reads it the same. Raise InvalidConfigError."""
    try:
        return msgspec.json.encode(msgspec.json.decode(raw))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidConfigError(msg("not valid JSON: {why}", why=str(error)), 1, file=name) from None


def _job(values: Values, interval: float, file: str) -> Job:
    addresses = [address for group in values["static_configs"] or () for address in group["targets"] or ()]
    return Job(
        name=values["job_name"],
        line=values.node.line,
        metrics_path=values["metrics_path"] or "/metrics",
        scheme=values["scheme"] or "http",
        interval=values["scrape_interval"] or interval,
        addresses=tuple(addresses),
        discovery=tuple(key for key in values if key.endswith("_sd_configs")),
        file=file,
        fallback_protocol=values["fallback_scrape_protocol"] or "",
    )
