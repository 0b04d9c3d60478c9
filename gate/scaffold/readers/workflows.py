"""Read GitHub workflows: the jobs that run tests, their services and environment, image builds, the default branch."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from gate.scaffold.files import RepoFiles, documents, get_dict, get_list, get_str, resolve_path
from gate.scaffold.model import Service

_FOLDER = ".github/workflows/"
_COMMANDS: tuple[tuple[str, str], ...] = (
    ("django", r"\bmanage\.py test\b"),
    ("pytest", r"\b(?:pytest|py\.test)\b|\b(?:tox|nox)\b(?!\.)"),
    ("go", r"\bgo test\b|\bgotestsum\b"),
    ("node", r"\b(?:npm|yarn|pnpm|bun)\s+(?:run\s+)?(?:-\S+\s+)*test(?:[:\w-]*)\b|\bnpx\s+(?:jest|vitest|mocha)\b"),
    ("cargo", r"\bcargo\s+(?:\+\S+\s+)?(?:test|nextest)\b"),
    ("maven", r"\bmvnw?\b[^\n]*\b(?:test|verify|install|package)\b"),
    ("gradle", r"\bgradlew?\b[^\n]*\b(?:test|check|build)\b"),
    ("ruby", r"\brspec\b|\brails test\b|\brake test\b|\bbundle exec rake\b"),
    ("phpunit", r"\bphpunit\b|\bartisan test\b|\bpest\b|\bcomposer (?:run )?test\b"),
    ("dotnet", r"\bdotnet test\b"),
    ("elixir", r"\bmix test\b"),
    ("make", r"\bmake\s+(?:-\S+\s+)*[\w-]*test[\w-]*\b"),
)
_ELSEWHERE = re.compile(r"(?i)windows|macos|self-hosted")
_EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
_LINT = re.compile(r"(?i)\blint\b|prettier|mypy|clippy|cargo fmt|type.?check|\bformatting\b|eslint")
_NOT_TESTS = re.compile(r"(?i)codecov|coverall|upload|publish|release|deploy|codeql|sonar|slack|cache|login")


class Step(Struct, frozen=True):
    """A step of a job. `run` is empty if it uses an action."""

    name: str
    run: str = ""
    uses: str = ""
    inputs: tuple[tuple[str, str], ...] = ()
    folder: str = "."
    environment: tuple[tuple[str, str], ...] = ()


class TestJob(Struct, frozen=True):
    """A job of a workflow that runs tests: the steps before its test command, and that command's step."""

    __test__ = False

    workflow: str
    name: str
    tool: str
    before: tuple[Step, ...]
    test: Step
    services: tuple[Service, ...]


class ImageBuild(Struct, frozen=True):
    """An image that a workflow builds from the repository."""

    tag: str
    context: str
    dockerfile: str


class Workflows(Struct):
    """What the workflows of a repository do. `not_taken` says in a line each which tests are left out, and why."""

    jobs: list[TestJob]
    images: list[ImageBuild]
    branches: list[str]
    not_taken: list[str]


def read_workflows(files: RepoFiles) -> Workflows:
    """Return the test jobs, the images and the branches of a repository's workflows."""
    found = Workflows([], [], [], [])
    # A job that measures coverage runs tests which another one runs, too: it comes last, and counts if it is alone.
    for name in sorted(files.names, key=lambda name: "cover" in name):
        if not re.fullmatch(rf"{re.escape(_FOLDER)}[^/]+\.ya?ml", name) or name.endswith("/prodgate.yml"):
            continue
        data = next(iter(documents(files.text(name))), None)
        for key, job in get_dict(data, "jobs").items():
            if isinstance(job, dict):
                _Job(files, name, data, str(key), job).read(found)
        found.branches = list(dict.fromkeys([*found.branches, *_branches(data)]))
    return found


def _triggers(data: Any) -> Any:
    """Return what starts a workflow: YAML 1.1 reads its key `on` as true."""
    return (data.get("on", data.get(True)) or {}) if isinstance(data, dict) else {}


def _branches(data: Any) -> Iterator[str]:
    """Yield the branches of pull requests and pushes without wildcards: the default branch is among them."""
    triggers = _triggers(data)
    for event in ("pull_request", "push"):
        for branch in get_list(get_dict(triggers, event), "branches"):
            if isinstance(branch, str) and re.fullmatch(r"main|master|trunk|develop|development|dev", branch):
                yield branch


def _is_of_commits(data: Any) -> bool:
    triggers = _triggers(data)
    names = triggers if isinstance(triggers, list | dict) else [triggers]
    return "pull_request" in names or "push" in names or "merge_group" in names


class _Job:
    """Reads one job, for the first values of its matrix."""

    def __init__(self, files: RepoFiles, file: str, data: Any, name: str, job: dict[Any, Any]) -> None:
        self.files, self.file, self.data, self.name, self.job = files, file, data, name, job
        self.matrix = dict(_matrix(get_dict(get_dict(job, "strategy"), "matrix")))

    def read(self, found: Workflows) -> None:
        """Add the test commands and the images of the job."""
        steps = [step for step in get_list(self.job, "steps") if isinstance(step, dict)]
        found.images += [image for step in steps for image in self._images(step)]
        tests = [(number, tool) for number, step in enumerate(steps) if (tool := self._tool(step))]
        if not tests or not _is_of_commits(self.data):
            return
        if reason := self._elsewhere():
            found.not_taken.append(f"{self.file}: the tests of its job {self.name}: {reason}")
            return
        services = tuple(self._services())
        taken: set[str] = set()
        for number, tool in tests:
            test = self._step(steps[number])
            if test is None:
                continue
            before = [step for each in steps[:number] if not self._tool(each) and (step := self._step(each))]
            new = tuple(step for step in before if repr(step) not in taken)
            taken |= {repr(step) for step in before}
            found.jobs.append(TestJob(self.file, self.name, tool, new, test, services))

    def _elsewhere(self) -> str:
        """Return why the job can't run in the gate's job; empty if it can."""
        runner = self._value(self.job.get("runs-on"))
        if runner is None or _ELSEWHERE.search(runner):
            return f"it runs on {runner or 'a runner that an expression names'}"
        if self.job.get("container"):
            return "it runs in a container of its own"
        texts = [str(step.get("run", "")) for step in get_list(self.job, "steps") if isinstance(step, dict)]
        return "it needs secrets" if any("secrets." in text and "GITHUB_TOKEN" not in text for text in texts) else ""

    def _tool(self, step: dict[Any, Any]) -> str:
        run = get_str(step, "run")
        lines = [line for line in run.splitlines() if not line.lstrip().startswith(("#", "echo "))]
        return next((tool for tool, pattern in _COMMANDS if re.search(pattern, "\n".join(lines))), "")

    def _step(self, step: dict[Any, Any]) -> Step | None:
        """Return a step with its expressions resolved; None if it does not belong to the tests."""
        uses = get_str(step, "uses")
        text = f"{uses} {get_str(step, 'name')}"
        other = _LINT.search(f"{text} {get_str(step, 'run')}") or (uses and _NOT_TESTS.search(text))
        if uses.startswith("actions/checkout") or other or not self._applies(step):
            return None
        run = self._resolved(get_str(step, "run"))
        inputs = {str(key): self._value(value) for key, value in get_dict(step, "with").items()}
        if run is None or None in inputs.values() or not (run or uses):
            return None
        settings = {**get_dict(self.data, "env"), **get_dict(self.job, "env"), **get_dict(step, "env")}
        environment = {str(key): self._value(value) for key, value in settings.items()}
        return Step(
            self._resolved(get_str(step, "name")) or "",
            run,
            uses,
            tuple((key, str(value).strip()) for key, value in inputs.items()),
            self._folder(step),
            tuple((key, value) for key, value in environment.items() if value is not None) if run else (),
        )

    def _folder(self, step: dict[Any, Any]) -> str:
        defaults = [get_dict(get_dict(each, "defaults"), "run") for each in (self.job, self.data)]
        given = [get_str(each, "working-directory") for each in (step, *defaults)]
        return resolve_path(".", self._resolved(next(filter(None, given), ".")) or ".") or "."

    def _applies(self, step: dict[Any, Any]) -> bool:
        """Return whether a step's condition holds for the first values of the matrix; unknown ones do not."""
        condition = str(step.get("if", "")).strip()
        condition = (_EXPRESSION.fullmatch(condition) or [condition, condition])[1]
        if not condition or condition in ("always()", "success()", "true", "True"):
            return True
        found = re.fullmatch(r"matrix\.([\w-]+)\s*(==|!=)\s*'([^']*)'", condition)
        return bool(found) and ((self.matrix.get(found[1], "") == found[3]) == (found[2] == "==")) if found else False

    def _services(self) -> Iterator[Service]:
        for name, service in get_dict(self.job, "services").items():
            image = self._value(get_str(service, "image"))
            environment = {str(key): self._value(value) for key, value in get_dict(service, "env").items()}
            ports = [self._value(port) for port in get_list(service, "ports")]
            if image:
                yield Service(
                    str(name),
                    image,
                    published=tuple(port for port in ports if port),
                    environment=tuple((key, value) for key, value in environment.items() if value is not None),
                    file=self.file,
                )

    def _images(self, step: dict[Any, Any]) -> Iterator[ImageBuild]:
        """Yield what a step builds: with the action `docker/build-push-action`, or with `docker build`."""
        inputs = get_dict(step, "with")
        if get_str(step, "uses").startswith("docker/build-push-action"):
            context = get_str(inputs, "context")
            folder = resolve_path(".", context) if context and "{{" not in context else "."
            file = get_str(inputs, "file") or posixpath.join(folder or ".", "Dockerfile")
            yield from self._image(str(inputs.get("tags", "")), folder, file)
        for line in re.findall(r"docker (?:buildx )?build\b((?:[^\n\\]|\\\n|\\)*)", get_str(step, "run")):
            words = line.replace("\\\n", " ").split()
            options = dict(zip(words, [*words[1:], ""], strict=True))
            folder = resolve_path(".", words[-1]) if words and re.fullmatch(r"[\w./-]+", words[-1]) else None
            file = options.get("-f") or options.get("--file") or posixpath.join(folder or ".", "Dockerfile")
            yield from self._image(options.get("-t") or options.get("--tag") or "", folder, file)

    def _image(self, tags: str, folder: str | None, file: str) -> Iterator[ImageBuild]:
        path = resolve_path(".", self._resolved(file) or file)
        if folder and path and self.files.has(path):
            yield ImageBuild(tags, folder, path)

    def _value(self, value: Any) -> str | None:
        return self._resolved("" if value is None else str(value).lower() if isinstance(value, bool) else str(value))

    def _resolved(self, text: str) -> str | None:
        """Return a text with the matrix filled in; None if it needs an expression that only GitHub can evaluate."""
        filled = _EXPRESSION.sub(lambda found: self._matrix_value(found[1], found[0]), text)
        left = [found for found in _EXPRESSION.findall(filled) if not re.match(r"(?:env|runner|github)\.", found)]
        return None if left else filled

    def _matrix_value(self, expression: str, unknown: str) -> str:
        """Return a value of the matrix, empty if it has none with this name; `unknown` for another expression."""
        found = re.fullmatch(r"matrix\.([\w-]+)", expression)
        return self.matrix.get(found[1], "") if found else unknown


def _matrix(matrix: dict[Any, Any]) -> Iterator[tuple[str, str]]:
    """Yield the first values of a matrix, and what `include` adds for them."""
    first = {
        str(key): str(next((value for value in values if not _ELSEWHERE.search(str(value))), values[0]))
        for key, values in matrix.items()
        if isinstance(values, list) and values and key not in ("include", "exclude")
    }
    for entry in get_list(matrix, "include"):
        given = {str(key): str(value) for key, value in entry.items()} if isinstance(entry, dict) else {}
        if not first or all(first.get(key, value) == value for key, value in given.items()):
            first = {**given, **first}
    yield from first.items()
