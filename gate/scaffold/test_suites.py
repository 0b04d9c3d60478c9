"""Find test suites: what a workflow installs and runs for each, and where it writes the results.

How the command ended is left beside them: some tools leave a suite that could not be loaded out of their report. Where
a tool has no report that the gate reads, its exit code becomes a report of one test, in TAP.
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

_SUITES = 10
_DJANGO = "python manage.py test --testrunner=xmlrunner.extra.djangotestrunner.XMLTestRunner"
_EXTRAS = ("test", "tests", "testing", "dev")
_REQUIREMENTS = re.compile(r"requirements(?:[-_./](?:dev|test|tests|testing))?\.txt|(?:dev|test)[-_]requirements\.txt")


# Steps of a workflow: each an action and its inputs.
Uses = tuple[tuple[str, tuple[tuple[str, str], ...]], ...]


class Suite(Struct, frozen=True):
    """The tests of a folder. `uses` are the workflow's steps before; the last line of `run` is the test command."""

    tool: str
    folder: str
    uses: Uses
    run: tuple[str, ...]
    results: str
    format: str

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
        return _result_file(self.tool, "exit")

    def _from_root(self, path: str) -> str:
        return posixpath.normpath(posixpath.join(self.folder, path))


def _result_file(tool: str, ending: str) -> str:
    """Return the name of a result file, unique for each tool in a folder."""
    return f"prodgate-tests.{tool}.{ending}"


def find_suites(files: RepoFiles) -> list[Suite]:
    """Return at most ten suites, nearest to the root first."""
    return [suite for find in (_go, _python, _node, _rust, _java, _ruby, _php, _dotnet) for suite in find(files)][
        :_SUITES
    ]


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
    return (
        f'{command} && verdict=ok || verdict="not ok"',
        f"printf '1..1\\n%s 1 - {command}\\n' \"$verdict\" > {_result_file(tool, 'tap')}",
    )


def _go(files: RepoFiles) -> Iterator[Suite]:
    for name in files.names:
        folder = folder_of(name)
        if posixpath.basename(name) == "go.mod" and _any(files, folder, r"_test\.go$"):
            uses = (("actions/setup-go@v6", (("go-version-file", name),)),)
            yield Suite(
                "go",
                folder,
                uses,
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
            yield Suite("django", folder, uses, (*lines, within + _DJANGO), "TEST-*.xml", "junit")
        else:
            uses, lines, within = _python_setup(files, folder, "pytest")
            results = _result_file("pytest", "xml")
            command = f"{within}python -m pytest --junitxml={results}"
            yield Suite("pytest", folder, uses, (*lines, command), results, "junit")


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
        yield Suite("node", folder, uses, (*prepare, *run), results, "tap" if results.endswith(".tap") else "junit")


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
            yield Suite("maven", folder, uses, run, "**/target/surefire-reports/TEST-*.xml", "junit")
    for folder in _outermost(files, "settings.gradle", "settings.gradle.kts", "build.gradle", "build.gradle.kts"):
        if _any(files, folder, r"(?:^|/)src/test/"):
            tool = "sh ./gradlew" if files.has(folder, "gradlew") else "gradle"
            yield Suite(
                "gradle", folder, uses, (f"{tool} test --continue",), "**/build/test-results/**/TEST-*.xml", "junit"
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
            yield Suite("ruby", folder, uses, _exit_code("ruby", command), _result_file("ruby", "tap"), "tap")


def _php(files: RepoFiles) -> Iterator[Suite]:
    for folder in _outermost(files, "composer.json"):
        if files.has(folder, "phpunit.xml") or files.has(folder, "phpunit.xml.dist"):
            uses = (("shivammathur/setup-php@v2", (("php-version", "8.3"),)),)
            results = _result_file("phpunit", "xml")
            run = ("composer install --no-interaction", f"vendor/bin/phpunit --log-junit {results}")
            yield Suite("phpunit", folder, uses, run, results, "junit")


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
