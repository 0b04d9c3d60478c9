"""Propose test suites: those that a workflow runs already, and guesses for tools that no workflow runs.

How the command ended is left beside the results: some tools leave a suite that could not be loaded out of their
report. Where a tool has no report that the gate reads, its exit code becomes a report of one test, in TAP.
"""

from __future__ import annotations

import json
import posixpath
import re
import tomllib
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from gate.scaffold.files import RepoFiles, folder_of, get_dict, get_str, is_within
from gate.scaffold.model import Service, Uses
from gate.scaffold.readers.workflows import Step, TestJob

_SUITES = 10
_DJANGO = "python manage.py test --testrunner=xmlrunner.extra.djangotestrunner.XMLTestRunner"
_EXTRAS = ("test", "tests", "testing", "dev")
_REQUIREMENTS = re.compile(r"requirements(?:[-_./](?:dev|test|tests|testing))?\.txt|(?:dev|test)[-_]requirements\.txt")
#: Words of a script that span lines, so that its lines can't be joined into one command.
_SPANS_LINES = re.compile(r"(?m)<<|\\$|^\s*(?:if|for|while|case|function|\{|\()|\bdo$|\bthen$")


class Suite(Struct, frozen=True):
    """The tests of a folder. `before` are the workflow's steps before; the last line of `run` is the test command.

    `origin` is the workflow that runs it already, empty for a guess.
    """

    tool: str
    folder: str
    before: tuple[Step, ...]
    run: tuple[str, ...]
    results: str
    format: str
    environment: tuple[tuple[str, str], ...] = ()
    services: tuple[Service, ...] = ()
    origin: str = ""
    name: str = ""

    @property
    def paths(self) -> str:
        """Return the path of the results from the repository's root; a glob if there may be several files."""
        return self._from_root(self.results)

    @property
    def exit_code(self) -> str:
        """Return the path of the exit code's file; empty if the results are made from the exit code."""
        return "" if self.format == "tap" else self._from_root(self._code)

    @property
    def script(self) -> tuple[str, ...]:
        """Return the lines that the workflow runs, which write the results and the exit code."""
        if self.format == "tap":
            return self.run
        *before, command = self.run
        return (*before, f"code=0; {command} || code=$?; echo $code > {self._code}")

    @property
    def _code(self) -> str:
        return _result_file(self.name or self.tool, "exit")

    def _from_root(self, path: str) -> str:
        return posixpath.normpath(posixpath.join(self.folder, path))


class Suites(Struct):
    """The proposed suites, nearest to the root first, and what is left out of them."""

    proposed: list[Suite]
    left_out: list[str]


def _result_file(tool: str, ending: str) -> str:
    """Return the name of a result file, unique for each tool in a folder."""
    return f"prodgate-tests.{tool}.{ending}"


def find_suites(files: RepoFiles, jobs: list[TestJob]) -> Suites:
    """Return at most ten suites: first those of workflows, then guesses for what no workflow tests."""
    left_out: list[str] = []
    known = list(_of_workflows(jobs, left_out))
    finders = (_go, _python, _node, _rust, _java, _ruby, _php, _dotnet)
    guesses = [suite for find in finders for suite in find(files) if not _is_known(suite, known)]
    every = [*known, *guesses]
    left_out += [f"the tests of {suite.folder} ({suite.tool}): more than {_SUITES} suites" for suite in every[_SUITES:]]
    return Suites(every[:_SUITES], left_out)


def _is_known(guess: Suite, known: list[Suite]) -> bool:
    """Return whether a workflow runs the tests that a guess would run. `make test` may run any."""
    python = ("pytest", "django")
    return any(
        (suite.tool in (guess.tool, "make") or {suite.tool, guess.tool} <= set(python))
        and (is_within(guess.folder, suite.folder) or suite.folder == ".")
        for suite in known
    )


def _of_workflows(jobs: list[TestJob], left_out: list[str]) -> Iterator[Suite]:
    """Yield the suites of workflows, each command once."""
    seen: set[tuple[str, str]] = set()
    names: set[str] = set()
    tools: set[str] = set()
    for job in jobs:
        command = _one_command(job.test.run)
        key = (job.test.folder, re.sub(r"\s+", " ", command))
        covers = job.tool in tools and "cover" in f"{job.name}{job.workflow}".lower()
        if key in seen or covers:
            left_out.append(f"the tests of {job.workflow}, job {job.name}: another job runs them, too")
            continue
        seen.add(key)
        tools.add(job.tool)
        name = job.tool if job.tool not in names else f"{job.tool}-{len(names) + 1}"
        names.add(name)
        run, results = _with_results(job.tool, name, command)
        form = "tap" if results.endswith(".tap") else "gojson" if results.endswith(".json") else "junit"
        test = job.test
        yield Suite(
            job.tool, test.folder, job.before, run, results, form, test.environment, job.services, job.workflow, name
        )


def _one_command(run: str) -> str:
    """Return a script as one command, which fails as soon as one of its lines does."""
    joined = re.sub(r"\\\n\s*", " ", run.strip())
    lines = [line.strip() for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if len(lines) == 1:
        return lines[0]
    if _SPANS_LINES.search(joined):
        return f"bash -e <<'TESTS'\n{joined}\nTESTS"
    return " && ".join(lines)


def _with_results(tool: str, name: str, command: str) -> tuple[tuple[str, ...], str]:
    """Return the lines that run a command, with its results: its own report if one flag makes it write one."""
    simple = not re.search(r"[|&;<>\n]", command)
    if tool == "pytest" and simple and re.search(r"\bpytest\b", command) and "junit" not in command:
        results = _result_file(name, "xml")
        return (f"{command} --junitxml={results}",), results
    if tool == "go" and simple and command.startswith("go test"):
        results = _result_file(name, "json")
        return (f"{command.replace('go test', 'go test -json', 1).replace(' -v', '')} > {results}",), results
    if tool == "maven" and simple:
        return (f"{command} --fail-at-end",), "**/target/surefire-reports/TEST-*.xml"
    if tool == "gradle" and simple:
        return (f"{command} --continue",), "**/build/test-results/**/TEST-*.xml"
    if tool == "phpunit" and simple and "phpunit" in command:
        results = _result_file(name, "xml")
        return (f"{command} --log-junit {results}",), results
    return _exit_code(name, command), _result_file(name, "tap")


def _steps(uses: Uses) -> tuple[Step, ...]:
    return tuple(Step("", uses=action, inputs=inputs) for action, inputs in uses)


def _outermost(files: RepoFiles, *names: str) -> Iterator[str]:
    """Yield the folders that contain one of these files, except those below another such folder."""
    taken: list[str] = []
    for name in files.names:
        folder = folder_of(name)
        if posixpath.basename(name) in names and not any(is_within(folder, other) for other in taken):
            taken.append(folder)
            yield folder


def _any(files: RepoFiles, folder: str, pattern: str) -> bool:
    return any(re.search(pattern, name) for name in files.below(folder))


def _exit_code(tool: str, command: str) -> tuple[str, ...]:
    """Return a script that writes a TAP report of a command's exit code."""
    first, heredoc, rest = command.partition("\n")
    label = tool if heredoc or re.search(r"['%\\\\]", command) else command
    return (
        f'{first} && verdict=ok || verdict="not ok"{heredoc}{rest}',
        f"printf '1..1\\n%s 1 - {label}\\n' \"$verdict\" > {_result_file(tool, 'tap')}",
    )


def _go(files: RepoFiles) -> Iterator[Suite]:
    for name in files.names:
        folder = folder_of(name)
        if posixpath.basename(name) == "go.mod" and _any(files, folder, r"_test\.go$"):
            uses = (("actions/setup-go@v6", (("go-version-file", name),)),)
            yield Suite(
                "go",
                folder,
                _steps(uses),
                (f"go test -json ./... > {_result_file('go', 'json')}",),
                _result_file("go", "json"),
                "gojson",
            )


def _python(files: RepoFiles) -> Iterator[Suite]:
    roots = (
        "pyproject.toml",
        "pytest.ini",
        "tox.ini",
        "setup.cfg",
        "setup.py",
        "manage.py",
        "Pipfile",
        "requirements.txt",
    )
    for folder in _outermost(files, *roots):
        if not _any(files, folder, r"(?:^|/)(?:test_[^/]*|[^/]*_test|tests)\.py$"):
            continue
        if _django_alone(files, folder):
            uses, lines, within = _python_setup(files, folder, "unittest-xml-reporting")
            yield Suite("django", folder, _steps(uses), (*lines, within + _DJANGO), "TEST-*.xml", "junit")
        else:
            uses, lines, within = _python_setup(files, folder, "pytest")
            results = _result_file("pytest", "xml")
            command = f"{within}python -m pytest --junitxml={results}"
            yield Suite("pytest", folder, _steps(uses), (*lines, command), results, "junit")


def _django_alone(files: RepoFiles, folder: str) -> bool:
    """Return whether the project uses Django's own test runner, because no file mentions pytest."""
    names = [name for name in files.below(folder) if re.search(r"(?:requirements[^/]*\.txt|\.toml|\.cfg|\.ini)$", name)]
    return files.has(folder, "manage.py") and not any("pytest" in files.text(name) for name in names)


def _python_setup(files: RepoFiles, folder: str, tool: str) -> tuple[Uses, tuple[str, ...], str]:
    """Return the steps and lines that install the project and a tool, and the prefix to run commands with."""
    if files.has(folder, "uv.lock"):
        return (("astral-sh/setup-uv@v6", ()),), ("uv sync --all-extras",), f"uv run --with {tool} "
    python = (("actions/setup-python@v6", (_python_version(files, folder),)),)
    for manager, lock, command in (("poetry", "poetry.lock", "install"), ("pipenv", "Pipfile", "install --dev")):
        if files.has(folder, lock):
            words = (f"pipx install {manager}", f"{manager} {command}", f"{manager} run python -m pip install {tool}")
            return python, words, f"{manager} run "
    names = [name[len(folder) + 1 if folder != "." else 0 :] for name in files.below(folder)]
    wanted = [f"-r {name}" for name in names if _REQUIREMENTS.fullmatch(name)]
    project = _toml(files.text(posixpath.join(folder, "pyproject.toml")))
    if get_dict(project, "project") or files.has(folder, "setup.py"):
        extras = [name for name in get_dict(get_dict(project, "project"), "optional-dependencies") if name in _EXTRAS]
        wanted.append(f'-e ".[{",".join(extras)}]"' if extras else "-e .")
    wanted += [f"--group {name}" for name in get_dict(project, "dependency-groups") if name in _EXTRAS]
    lines = ("python -m pip install --upgrade pip", f"python -m pip install {' '.join([*wanted, tool])}")
    return python, lines, ""


def _python_version(files: RepoFiles, folder: str) -> tuple[str, str]:
    for name in (".python-version", "pyproject.toml"):
        path = posixpath.normpath(posixpath.join(folder, name))
        if files.has(path) and (name != "pyproject.toml" or "requires-python" in files.text(path)):
            return "python-version-file", path
    return "python-version", "3.x"


def _toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}


def _node(files: RepoFiles) -> Iterator[Suite]:
    for folder in _outermost(files, "package.json"):
        script = _npm_test(files.text(posixpath.join(folder, "package.json")))
        if not script:
            continue
        manager, install = next((tool, line) for lock, tool, line in _LOCKS if not lock or files.has(folder, lock))
        prepare = ("corepack enable", install) if manager != "npm" else (install,)
        words = f"{manager} test" if manager != "npm" else "npm test --"
        uses = (("actions/setup-node@v5", (("node-version", "lts/*"),)),)
        run, results = _node_run(script, words)
        yield Suite(
            "node", folder, _steps(uses), (*prepare, *run), results, "tap" if results.endswith(".tap") else "junit"
        )


_LOCKS = (
    ("pnpm-lock.yaml", "pnpm", "pnpm install --frozen-lockfile"),
    ("yarn.lock", "yarn", "yarn install --immutable || yarn install --frozen-lockfile"),
    ("package-lock.json", "npm", "npm ci"),
    ("", "npm", "npm install"),
)


def _node_run(script: str, words: str) -> tuple[tuple[str, ...], str]:
    """Return the lines that run a test script, and its results: JUnit XML if the tool can write it, else TAP."""
    tool = re.fullmatch(
        r"(?:cross-env\s+)?(?:\w+=\S+\s+)*(?:npx\s+)?(jest|vitest|mocha|node\s+--test)\b[^&|;]*", script
    )
    if tool is None:
        return _exit_code("node", words.removesuffix(" --")), _result_file("node", "tap")
    results = _result_file("node", "xml")
    known = {
        "jest": (
            f"export JEST_JUNIT_OUTPUT_FILE={results}",
            "export JEST_JUNIT_REPORT_TEST_SUITE_ERRORS=true",
            'export NODE_PATH="$RUNNER_TEMP/reporters/node_modules"',
            'npm install --prefix "$RUNNER_TEMP/reporters" jest-junit',
            f'{words} --ci --reporters=default --reporters="$NODE_PATH/jest-junit"',
        ),
        "vitest": (f"{words} --run --reporter=junit --outputFile={results}",),
        "mocha": (f"{words} --reporter xunit --reporter-option output={results}",),
        "node": (
            f"NODE_OPTIONS='--test-reporter=junit --test-reporter-destination={results}' {words.removesuffix(' --')}",
        ),
    }
    return known[tool[1].split()[0]], results


def _npm_test(text: str) -> str:
    """Return the test script of a package, unless it is the placeholder of `npm init`."""
    try:
        script = get_str(get_dict(json.loads(text), "scripts"), "test").strip()
    except (ValueError, RecursionError):
        return ""
    return "" if "no test specified" in script else script


def _rust(files: RepoFiles) -> Iterator[Suite]:
    for folder in _outermost(files, "Cargo.toml"):
        if any(
            re.search(r"#\[(?:\w+::)*test\b", files.text(name)) for name in files.below(folder) if name.endswith(".rs")
        ):
            yield Suite(
                "cargo", folder, (), _exit_code("cargo", "cargo test --workspace"), _result_file("cargo", "tap"), "tap"
            )


def _java(files: RepoFiles) -> Iterator[Suite]:
    uses = (("actions/setup-java@v5", (("distribution", "temurin"), ("java-version", "21"))),)
    for folder in _outermost(files, "pom.xml"):
        if _any(files, folder, r"(?:^|/)src/test/"):
            tool = "sh ./mvnw" if files.has(folder, "mvnw") else "mvn"
            run = (f"{tool} --batch-mode --fail-at-end test",)
            yield Suite("maven", folder, _steps(uses), run, "**/target/surefire-reports/TEST-*.xml", "junit")
    for folder in _outermost(files, "settings.gradle", "settings.gradle.kts", "build.gradle", "build.gradle.kts"):
        if _any(files, folder, r"(?:^|/)src/test/"):
            tool = "sh ./gradlew" if files.has(folder, "gradlew") else "gradle"
            yield Suite(
                "gradle",
                folder,
                _steps(uses),
                (f"{tool} test --continue",),
                "**/build/test-results/**/TEST-*.xml",
                "junit",
            )


def _ruby(files: RepoFiles) -> Iterator[Suite]:
    for folder in _outermost(files, "Gemfile"):
        command = (
            "bundle exec rspec" if _any(files, folder, r"_spec\.rb$")
            else "bin/rails test" if files.has(folder, "bin/rails")
            else "bundle exec rake test"
        )  # fmt: skip
        if _any(files, folder, r"(?:_spec|_test|/test_\w+)\.rb$"):
            uses = (("ruby/setup-ruby@v1", (("bundler-cache", "true"), ("working-directory", folder))),)
            yield Suite("ruby", folder, _steps(uses), _exit_code("ruby", command), _result_file("ruby", "tap"), "tap")


def _php(files: RepoFiles) -> Iterator[Suite]:
    for folder in _outermost(files, "composer.json"):
        if files.has(folder, "phpunit.xml") or files.has(folder, "phpunit.xml.dist"):
            uses = (("shivammathur/setup-php@v2", (("php-version", "8.3"),)),)
            results = _result_file("phpunit", "xml")
            run = ("composer install --no-interaction", f"vendor/bin/phpunit --log-junit {results}")
            yield Suite("phpunit", folder, _steps(uses), run, results, "junit")


def _dotnet(files: RepoFiles) -> Iterator[Suite]:
    solutions = [name for name in files.names if name.endswith((".sln", ".slnx"))]
    if solutions and any(
        "Microsoft.NET.Test.Sdk" in files.text(name) for name in files.names if name.endswith(".csproj")
    ):
        yield Suite(
            "dotnet",
            folder_of(solutions[0]),
            (),
            _exit_code("dotnet", "dotnet test"),
            _result_file("dotnet", "tap"),
            "tap",
        )
