"""Choose between the base branch's checklist and the commit's own, and report what has become weaker."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, structs

from gate.core.messages import Message, msg
from gate.model import VerdictReason

if TYPE_CHECKING:
    from gate.checklist.errors import ChecklistError, SourceLocation
    from gate.checklist.exemptions import ExemptionError
    from gate.checklist.load import LoadedChecklist
    from gate.checklist.models import Checklist
    from gate.publish.github import GitHubError
    from gate.publish.settings import Settings

_LIMIT = 8 * 1024 * 1024
BY_API = "base"
"""The word that stands for the file of the base branch, as GitHub has it."""


class BaseComparison(Struct, frozen=True):
    """The checklist that counts, with what speaks against a GO, and what is reserved."""

    loaded: LoadedChecklist
    blockers: tuple[VerdictReason, ...] = ()
    reservations: tuple[VerdictReason, ...] = ()


def resolve_base_checklist(
    loaded: LoadedChecklist, compare: str | None, policy: str, wishes: Settings
) -> BaseComparison:
    """Load the checklist to enforce and compare it with the base branch's, each with the exemptions of its own branch.

    With `--policy base`, a base that can't be loaded is a NO-GO; otherwise it is a reservation. Raise ChecklistError
    for a policy without anything to compare.
    """
    from gate.checklist.errors import ChecklistError, Diagnostic, SourceLocation
    from gate.checklist.exemptions import ExemptionError
    from gate.checklist.load import load
    from gate.checklist.weakening import find_weakenings
    from gate.publish.github import GitHubError

    if policy == "base" and not compare:
        raise ChecklistError(
            [Diagnostic(SourceLocation("--policy"), "'base' needs a checklist, expected '--compare' beside it")]
        )
    if not compare or (compare == BY_API and wishes.on_base):
        return BaseComparison(loaded)
    try:
        base = load([compare]) if compare != BY_API else _by_api(loaded.files, wishes)
        if base is None:
            return BaseComparison(loaded, reservations=(VerdictReason(message=_none(wishes)),))
        base = _with_exemptions(base, compare, loaded.files, wishes)
    except (GitHubError, ChecklistError, ExemptionError) as error:
        reason = _not_had(error)
        return (
            BaseComparison(loaded, blockers=(reason,))
            if policy == "base"
            else BaseComparison(loaded, reservations=(reason,))
        )
    found = tuple(find_weakenings(base.checklist, _own(loaded.checklist)))
    return BaseComparison(base if policy == "base" else loaded, reservations=found)


def _with_exemptions(base: LoadedChecklist, compare: str, files: Sequence[str], wishes: Settings) -> LoadedChecklist:
    """Put what the base branch's own files exempt into its checklist. Raise GitHubError or ExemptionError."""
    from gate.checklist.exemptions import exemption_files, inlined

    if compare == BY_API:
        from gate.publish.base_branch import texts

        names = exemption_files(base.checklist)
        found = texts(wishes, names, Path.cwd()) if names else {}
        return structs.replace(base, checklist=inlined(base.checklist, found.get))
    folder = _checkout_of(Path(compare).resolve(), files)
    return structs.replace(base, checklist=inlined(base.checklist, lambda name: _base_text(folder, name)))


def _checkout_of(path: Path, files: Sequence[str]) -> Path:
    """Return the folder in which the base branch's checklist has the name that this one has in its own checkout."""
    names = [Path(os.path.normpath(Path.cwd() / file)) for file in files]
    for name in (name.relative_to(Path.cwd()) for name in names if name.is_relative_to(Path.cwd())):
        if path.parts[-len(name.parts) :] == name.parts:
            return path.parents[len(name.parts) - 1]
    return path.parent


def _own(checklist: Checklist) -> Checklist:
    """Return the checklist with its own exemptions. If they can't be read, its item will say so."""
    from gate.checklist.exemptions import ExemptionError, inlined

    try:
        return inlined(checklist, lambda name: _text(Path.cwd(), name))
    except ExemptionError:
        return checklist


def _base_text(folder: Path, name: str) -> str | None:
    """Return the text of a file of the base branch. What the checkout that is judged has at that place is not its."""
    return None if folder.samefile(Path.cwd()) else _text(folder, name)


def _text(folder: Path, name: str) -> str | None:
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        return None
    with path.open("rb") as stream:
        return stream.read(_LIMIT).decode("utf-8-sig", "replace")


def _not_had(error: GitHubError | ChecklistError | ExemptionError) -> VerdictReason:
    from gate.checklist.exemptions import ExemptionError
    from gate.publish.github import GitHubError

    if isinstance(error, GitHubError):
        return VerdictReason(message=msg("The base branch's checklist could not be read: {why}", why=error.message))
    if isinstance(error, ExemptionError):
        return VerdictReason(
            message=msg("{path}, which the base branch's checklist names, can't be read from that branch: {why}",
                        path=error.file, why=error.why),
            advice=msg("Compare with `base`, or with the checklist in a checkout of the base branch"),
        )  # fmt: skip
    return VerdictReason(message=msg("The base branch's checklist is wrong: {why}", why=str(error.problems[0])))


def _none(wishes: Settings) -> Message:
    return msg("{branch} has no checklist yet: there is nothing to compare with", branch=wishes.branch)


def _by_api(files: Sequence[str], wishes: Settings) -> LoadedChecklist | None:
    from gate.checklist.errors import ChecklistError
    from gate.checklist.load import load
    from gate.publish.base_branch import fetch_base_files

    with tempfile.TemporaryDirectory(prefix="prodgate-base-") as folder:
        paths = fetch_base_files(wishes, files, Path.cwd(), Path(folder))
        if not paths:
            return None
        names = {str(path): str(path.relative_to(folder)) for path in paths}
        try:
            return _named(load(paths), names)
        except ChecklistError as error:
            raise _of_branch(error, names, wishes.branch) from error


def _named(loaded: LoadedChecklist, names: Mapping[str, str]) -> LoadedChecklist:
    """With the names that the files have in the repository."""
    places = {
        path: structs.replace(place, file=names.get(place.file, place.file)) for path, place in loaded.places.items()
    }
    return structs.replace(loaded, files=tuple(names[file] for file in loaded.files), places=places)


def _of_branch(error: ChecklistError, names: Mapping[str, str], branch: str) -> ChecklistError:
    """The error with the names that the files have on the branch: the commit's own may well be right."""
    from gate.checklist.errors import ChecklistError

    def named(place: SourceLocation) -> SourceLocation:
        return structs.replace(place, file=f"{branch}:{names[place.file]}") if place.file in names else place

    return ChecklistError(structs.replace(problem, place=named(problem.place)) for problem in error.problems)
