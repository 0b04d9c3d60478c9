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
from gate.publish.settings import FETCH_FROM_BASE

if TYPE_CHECKING:
    from gate.checklist.errors import ChecklistError, SourceLocation
    from gate.checklist.exemptions import ExemptionError
    from gate.checklist.load import LoadedChecklist
    from gate.checklist.models import Checklist
    from gate.publish.github import GitHubError
    from gate.publish.settings import Settings

_MAX_FILE_SIZE = 8 * 1024 * 1024  # bytes


class BaseComparison(Struct, frozen=True):
    """The checklist to enforce, with the blockers and reservations that the comparison found."""

    loaded: LoadedChecklist
    blockers: tuple[VerdictReason, ...] = ()
    reservations: tuple[VerdictReason, ...] = ()


def resolve_base_checklist(
    loaded: LoadedChecklist, compare: str | None, policy: str, settings: Settings
) -> BaseComparison:
    """Load the checklist to enforce and compare it with the base branch's, each with its own branch's exemptions.

    With `--policy base`, failing to load the base checklist is a blocker; otherwise it is a reservation. Raise
    ChecklistError for `--policy base` without `--compare`.
    """
    from gate.checklist.errors import ChecklistError, Diagnostic, SourceLocation
    from gate.checklist.exemptions import ExemptionError
    from gate.checklist.load import load
    from gate.checklist.weakening import find_weakenings
    from gate.publish.github import GitHubError

    if policy == "base" and not compare:
        raise ChecklistError([Diagnostic(SourceLocation("--policy"), "'base' has nothing to enforce; add '--compare'")])
    if not compare or (compare == FETCH_FROM_BASE and settings.on_base):
        return BaseComparison(loaded)
    try:
        base = load([compare]) if compare != FETCH_FROM_BASE else _fetch_base_checklist(loaded.files, settings)
        if base is None:
            return BaseComparison(loaded, reservations=(VerdictReason(message=_no_base_checklist(settings)),))
        base = _with_exemptions(base, compare, loaded.files, settings)
    except (GitHubError, ChecklistError, ExemptionError) as error:
        reason = _unavailable_base(error)
        return (
            BaseComparison(loaded, blockers=(reason,))
            if policy == "base"
            else BaseComparison(loaded, reservations=(reason,))
        )
    weakenings = tuple(find_weakenings(base.checklist, _with_own_exemptions(loaded.checklist)))
    return BaseComparison(base if policy == "base" else loaded, reservations=weakenings)


def _with_exemptions(base: LoadedChecklist, compare: str, files: Sequence[str], settings: Settings) -> LoadedChecklist:
    """Inline the exemption files of the base branch into its checklist. Raise GitHubError or ExemptionError."""
    from gate.checklist.exemptions import exemption_files, inlined

    if compare == FETCH_FROM_BASE:
        from gate.publish.base_branch import fetch_base_texts

        names = exemption_files(base.checklist)
        contents = fetch_base_texts(settings, names, Path.cwd()) if names else {}
        return structs.replace(base, checklist=inlined(base.checklist, contents.get))
    folder = _checkout_of(Path(compare).resolve(), files)
    return structs.replace(base, checklist=inlined(base.checklist, lambda name: _base_text(folder, name)))


def _checkout_of(path: Path, files: Sequence[str]) -> Path:
    """Return the root of the base branch's checkout: the folder below which its checklist has this one's path."""
    names = [Path(os.path.normpath(Path.cwd() / file)) for file in files]
    for name in (name.relative_to(Path.cwd()) for name in names if name.is_relative_to(Path.cwd())):
        if path.parts[-len(name.parts) :] == name.parts:
            return path.parents[len(name.parts) - 1]
    return path.parent


def _with_own_exemptions(checklist: Checklist) -> Checklist:
    """Return the checklist with its exemption files inlined, or unchanged if one can't be read."""
    from gate.checklist.exemptions import ExemptionError, inlined

    try:
        return inlined(checklist, lambda name: _text(Path.cwd(), name))
    except ExemptionError:  # the item that names the file reports it
        return checklist


def _base_text(folder: Path, name: str) -> str | None:
    """Return the text of a file of the base branch; None if there is none."""
    # The checkout under test is not the base branch: its files could exempt what the base branch does not.
    return None if folder.samefile(Path.cwd()) else _text(folder, name)


def _text(folder: Path, name: str) -> str | None:
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        return None
    with path.open("rb") as stream:
        return stream.read(_MAX_FILE_SIZE).decode("utf-8-sig", "replace")


def _unavailable_base(error: GitHubError | ChecklistError | ExemptionError) -> VerdictReason:
    from gate.checklist.exemptions import ExemptionError
    from gate.publish.github import GitHubError

    if isinstance(error, GitHubError):
        return VerdictReason(message=msg("The base branch's checklist could not be read: {why}", why=error.message))
    if isinstance(error, ExemptionError):
        return VerdictReason(
            message=msg("{path}: named by the base branch's checklist, but can't be read from that branch: {why}",
                        path=error.file, why=error.why),
            advice=msg("Pass `base` to `compare`, or the checklist in a checkout of the base branch"),
        )  # fmt: skip
    return VerdictReason(message=msg("The base branch's checklist is not valid: {why}", why=str(error.problems[0])))


def _no_base_checklist(settings: Settings) -> Message:
    return msg("Not compared: branch {branch} has no checklist yet", branch=settings.branch)


def _fetch_base_checklist(files: Sequence[str], settings: Settings) -> LoadedChecklist | None:
    from gate.checklist.errors import ChecklistError
    from gate.checklist.load import load
    from gate.publish.base_branch import fetch_base_files

    with tempfile.TemporaryDirectory(prefix="prodgate-base-") as folder:
        paths = fetch_base_files(settings, files, Path.cwd(), Path(folder))
        if not paths:
            return None
        names = {str(path): str(path.relative_to(folder)) for path in paths}
        try:
            return _with_repository_names(load(paths), names)
        except ChecklistError as error:
            raise _error_on_branch(error, names, settings.branch) from error


def _with_repository_names(loaded: LoadedChecklist, names: Mapping[str, str]) -> LoadedChecklist:
    """Return the checklist with the paths that its files have in the repository."""
    places = {
        path: structs.replace(place, file=names.get(place.file, place.file)) for path, place in loaded.places.items()
    }
    return structs.replace(loaded, files=tuple(names[file] for file in loaded.files), places=places)


def _error_on_branch(error: ChecklistError, names: Mapping[str, str], branch: str) -> ChecklistError:
    """Return the error with each file as `branch:path`, to tell it from the commit's own file."""
    from gate.checklist.errors import ChecklistError

    def on_branch(place: SourceLocation) -> SourceLocation:
        return structs.replace(place, file=f"{branch}:{names[place.file]}") if place.file in names else place

    return ChecklistError(structs.replace(problem, place=on_branch(problem.place)) for problem in error.problems)
