"""Load a checklist from its files: read, interpolate, merge, validate. All errors are reported at once."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct, to_builtins

from gate.checklist.cross_references import check_references
from gate.checklist.diagnostics import to_diagnostics
from gate.checklist.errors import ChecklistError, Diagnostic, SourceLocation
from gate.checklist.merge import merge
from gate.checklist.models import Checklist
from gate.checklist.variables import interpolate
from gate.checklist.yaml_reader import BrokenYamlError, Tree, blanks, parse_yaml, read_yaml, to_plain_data
from gate.checklist.yaml_reader import Mapping as MappingTree
from gate.decode.structs import KeyPath, ValidationError
from gate.decode.structs import decode_all_errors as read_as
from gate.redaction.secrets import default_redactor as known_secrets

# The characters of an id or of a target's name.
_WORD = re.compile(r"[\w.-]+", re.ASCII)


class LoadedChecklist(Struct, frozen=True):
    """A valid checklist, and the source location of each part."""

    checklist: Checklist
    places: Mapping[KeyPath, SourceLocation]
    files: tuple[str, ...]

    def place_of(self, section: int, item: int) -> SourceLocation | None:
        """Return the location of an item."""
        return self.places.get(("sections", section, "items", item))


def load(files: Iterable[str | Path], environment: Mapping[str, str] | None = None) -> LoadedChecklist:
    """Load and merge the files into one checklist. Raise ChecklistError with all their errors."""
    variables = os.environ if environment is None else environment
    names = tuple(str(file) for file in files)
    if not names:
        raise ChecklistError(
            [Diagnostic(SourceLocation("prodgate"), "no checklist was named, expected at least one --file")]
        )
    return _load_parsed(_parse_files(names, variables), names)


def load_text(text: str, name: str, environment: Mapping[str, str] | None = None) -> LoadedChecklist:
    """Load a checklist from a text, as `load` does from files."""
    variables = os.environ if environment is None else environment
    return _load_parsed(_parse_text(text, name, variables), (name,))


def _load_parsed(parsed: _Parsed, names: tuple[str, ...]) -> LoadedChecklist:
    if not parsed.trees:
        raise ChecklistError(parsed.problems)
    tree: Tree = parsed.trees[0]
    for over in parsed.trees[1:]:
        tree = merge(tree, over)
    return _shown(_validated(tree, parsed.problems, names, whole=parsed.whole), parsed.text)


class _Parsed(Struct, frozen=True):
    """The trees of the files that can be read, with the errors and the text of all of them.

    `whole` is false if something is missing in the trees, because it could not be read.
    """

    trees: list[MappingTree]
    problems: list[Diagnostic]
    text: str
    whole: bool


def _parse_files(names: tuple[str, ...], variables: Mapping[str, str]) -> _Parsed:
    texts: list[str] = []
    parsed = []
    for name in names:
        try:
            texts.append(read_yaml(Path(name), name))
            parsed.append(_parse_text(texts[-1], name, variables))
        except ChecklistError as error:
            parsed.append(_Parsed([], list(error.problems), "", whole=False))
    return _Parsed(
        [tree for file in parsed for tree in file.trees],
        [problem for file in parsed for problem in file.problems],
        "\n".join(texts),
        all(file.whole for file in parsed),
    )


def _parse_text(text: str, name: str, variables: Mapping[str, str]) -> _Parsed:
    """Parse a text; of one that is not YAML everywhere, what is left."""
    try:
        tree, problems = parse_yaml(text, name, lambda value: interpolate(value, variables))
    except BrokenYamlError as error:
        return _Parsed([error.readable] if error.readable else [], list(error.problems), text, whole=False)
    return _Parsed([tree], problems, text, whole=True)


def _shown(loaded: LoadedChecklist, text: str) -> LoadedChecklist:
    """Return the checklist, after registering its credentials as secrets and its ids as public.

    Raise ChecklistError if an id holds the value of a secret variable.
    """
    ids, words = dict(_ids(loaded.checklist)), set(_WORD.findall(text))
    # A password in a target's URL or environment is a secret wherever it is shown, not only in that URL.
    for key, written in _texts(to_builtins(loaded.checklist.targets, enc_hook=str)):
        known_secrets().add_credentials(written, key)
    known_secrets().allow(*loaded.files, *words.intersection([*loaded.checklist.targets, *ids.values()]))
    filled = {path: name for path, name in ids.items() if name not in words}
    problems = [
        Diagnostic(loaded.places[path], "holds the value of a secret variable, expected an id that everybody may read")
        for path, name in filled.items()
        if known_secrets().are_in(name)
    ]
    if problems:
        raise ChecklistError(problems)
    return loaded


def _texts(data: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield every text in some data, with its key."""
    if isinstance(data, str):
        yield key, data
    elif isinstance(data, dict):
        for name, value in data.items():
            yield from _texts(value, str(name))
    elif isinstance(data, list | tuple):
        for value in data:
            yield from _texts(value, key)


def _ids(checklist: Checklist) -> Iterator[tuple[KeyPath, str]]:
    """Yield the ids of sections and items, with their paths."""
    for number, section in enumerate(checklist.sections):
        yield ("sections", number, "id"), section.id
        for position, item in enumerate(section.items):
            yield ("sections", number, "items", position, "id"), item.id


def _validated(tree: Tree, problems: list[Diagnostic], names: tuple[str, ...], *, whole: bool) -> LoadedChecklist:
    """Decode and validate the tree. `whole` is false if a file is missing from it."""
    data, values, keys = to_plain_data(tree)
    data = _without_extensions(data)
    # In a file that is broken, a value may be blank because what was wrong is left out.
    blank = {path for path in blanks(tree) if path[0] in data} if whole else set()
    problems = [*problems, *(_of_blank(path, values, keys) for path in blank)]
    checklist = None
    try:
        checklist = read_as(data, Checklist)
    except ValidationError as error:
        others = [issue for issue in error.issues if issue.path not in blank]
        # A value whose variable is not set is told once: by the variable.
        told = {problem.place for problem in problems}
        invalid = to_diagnostics(others, values, keys, whole=whole)
        problems = [*problems, *(problem for problem in invalid if problem.place not in told)]
    if whole:
        problems = [*problems, *check_references(data, checklist, values)]
    if problems or checklist is None:
        raise ChecklistError(problems)
    return LoadedChecklist(checklist, values, names)


def _of_blank(
    path: KeyPath, values: Mapping[KeyPath, SourceLocation], keys: Mapping[KeyPath, SourceLocation]
) -> Diagnostic:
    """Return the diagnostic for a value that is blank or whose variable is empty."""
    if path in keys:
        return Diagnostic(keys[path], f"key '{path[-1]}' has no value, expected one: nothing is written after it")
    return Diagnostic(values[path], "the entry has no value, expected one: nothing is written there")


def _without_extensions(data: dict[str, Any]) -> dict[str, Any]:
    """Return the data without top-level keys that begin with `x-`, which are the user's own, as in Compose files."""
    return {key: value for key, value in data.items() if not key.startswith("x-")}
