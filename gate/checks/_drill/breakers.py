"""What breaks staging in a drill: one of our faults, or a script of the user's own."""

from __future__ import annotations

import time
from collections.abc import Callable

from msgspec import Struct, field

from gate.checks._drill.course import RECOVERY, Answers, NoProof
from gate.checks._drill.spec import Script
from gate.checks.world import World
from gate.messages import Message, say
from gate.process import Running
from gate.staging import script
from gate.staging.engine import NoEngine
from gate.staging.faults.base import PROOF_PATIENCE, Fault, NoFault, Site, TargetFault, wait_for
from gate.staging.faults.stop import runs_again, up, up_again
from gate.staging.staged import Staged

_HASTE = 5.0
_PATIENCE = 10.0
_UNDER_WAY = 11.0
"""Seconds that an engine may still be busy with what a script has asked of it that was stopped: `docker stop` takes 10.
"""


def putting_back(made: Script) -> float:
    """Seconds that it takes at most to end what a script has begun, and to put back what it touches."""
    return _UNDER_WAY + len(made.touches) * 2 * PROOF_PATIENCE


def site(world: World, target: str | None) -> Site:
    """Where a fault goes, held for this run alone. Raises NoFault where faults can't be done, NoEngine where another
    run does some."""
    if world.stage is None:
        raise NoFault(say("no fault can be done here"))
    staged = world.targets[target] if target else Staged(name="")
    if staged.container is not None:
        world.stage.hold(staged.container)
    return Site(staged=staged, journal=world.stage.journal, root=world.root, cancelled=world.cancelled)


class FaultBreaker(Struct):
    """A fault of ours."""

    world: World
    fault: Fault
    site: Site
    refused: bool = False
    """Whether nothing was done at all: there is nothing to take back."""

    def put_in(self) -> Message:
        try:
            self._must_be_up()
            self._must_be_alone()
            self.fault.inject(self.site)
        except (NoFault, NoEngine) as error:
            self.refused = not self.site.acts
            raise NoProof(error.message) from error
        except Exception as error:
            raise NoProof(say("it could not be put in: {why}", why=str(error))) from error
        proof = self._proved(lambda: self.fault.holds(self.site))
        if proof is None:
            raise NoProof(say("it had no effect: {what} could not be seen", what=self.fault.effect()))
        return proof

    def _must_be_up(self) -> None:
        """Raises NoFault for a target that does not run as it should: of one that is broken already, a fault breaks
        nothing, and taking it back would not leave it as it was."""
        if isinstance(self.fault, TargetFault) and up(self.site) is None:
            raise NoFault(say("{target} is not up before the fault: nothing of it could be broken",
                              target=self.site.staged.name))  # fmt: skip

    def _must_be_alone(self) -> None:
        """Raise NoFault if another container answers to a name of the target: it would get part of the requests."""
        container = self.site.staged.container
        if isinstance(self.fault, TargetFault) and container is not None and (twins := container.twins()):
            raise NoFault(say("{others} would still answer in the place of {target}: they have a name of it, too",
                              others=", ".join(twins), target=self.site.staged.name))  # fmt: skip

    def end(self) -> Message | None:
        return None

    def answers(self) -> list[Answers]:
        return [] if self.refused or not isinstance(self.fault, TargetFault) else [answers_again(self.world, self.site)]

    def take_back(self) -> Message:
        if self.refused:
            return say("nothing was done that could be taken back")
        try:
            self.fault.undo(self.site)
        except Exception as error:
            raise NoProof(say("it could not be taken back: {why}", why=_reasons(error))) from error
        proof = self._proved(lambda: self.fault.gone(self.site))
        if proof is None:
            raise NoProof(say("it was taken back, and could not be seen to be gone"))
        return proof

    def _proved(self, proof: Callable[[], Message | None]) -> Message | None:
        patience = _HASTE if self.world.cancelled.is_set() else _PATIENCE
        try:
            return wait_for(proof, patience)
        except (NoFault, NoEngine) as error:
            raise NoProof(error.message) from error
        except Exception as error:
            raise NoProof(say("it could not be looked at: {why}", why=str(error))) from error


def answers_again(world: World, each: Site) -> Answers:
    """Return what proves that a target answers again, with the time that its `ready` has."""
    assert world.stage is not None
    ready = world.stage.targets[each.staged.name].ready
    return Answers(each.staged.name, ready.within if ready else RECOVERY, lambda: up_again(each))


def _reasons(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_reasons(each) for each in error.exceptions)
    return str(error)


class ScriptBreaker(Struct, dict=True):
    """A script of the user's own: its exit code is the proof, and what it touches is put back as it was."""

    world: World
    script: Script
    running: list[Site] = field(default_factory=list)
    """What it touches and ran before, and has to run again."""
    begun: Running | None = None
    stopped: bool = False
    """Whether the script was not left to its end: nobody knows what it has put back."""

    def __post_init__(self) -> None:
        """Raises NoFault where what it touches can't be reached: it could not be put back."""
        self.journal = site(self.world, None).journal
        self.sites = [site(self.world, name) for name in self.script.touches]
        for each in self.sites:
            _ = each.process or each.container

    def put_in(self) -> Message | None:
        self.running = [each for each in self.sites if self._remember(each)]
        try:
            self.begun = self._begin()
        except OSError as error:
            raise NoProof(say("the script could not be run: {why}", why=str(error))) from error
        return None

    def end(self) -> Message | None:
        assert self.begun is not None
        done = self.begun.wait()
        self.stopped = done.ended != "exit"
        if not self.stopped:
            for each in self.running:
                each.settled()
        why = script.trouble(self.script.command[0], done)
        if why is not None:
            raise NoProof(why)
        return say("the script exited with 0")

    def _begin(self) -> Running:
        return script.begin(
            self.script.command,
            root=self.world.root,
            timeout=self.script.timeout,
            born=self.journal.born,
            mark=self.journal.mark,
            cancelled=self.world.cancelled,
        )

    def answers(self) -> list[Answers]:
        return [answers_again(self.world, each) for each in self.running]

    def take_back(self) -> Message:
        if self.stopped and not self.sites:
            raise NoProof(say("the script was stopped, and `touches` names nothing that could be put back"))
        if self.stopped and any(each.acts for each in self.running):
            time.sleep(_UNDER_WAY)
        for each in self.running:
            self._put_back(each)
        if not self.sites:
            return say("the script has ended, and `touches` names nothing to look at")
        return say("what it touches is as it was")

    def _put_back(self, each: Site) -> None:
        try:
            each.take_back()
            if each.process:
                each.process.resume()
            back = wait_for(lambda: runs_again(each))
        except Exception as error:
            raise NoProof(say("it could not be taken back: {why}", why=_reasons(error))) from error
        if back is None:
            raise NoProof(say("{target} does not run again", target=each.staged.name))

    def _remember(self, each: Site) -> bool:
        """Whether a target runs; writes down how it is put back as it is: on the network, started, not paused."""
        if each.process:
            return each.process.running
        container, settles = each.container, self.script.timeout + _UNDER_WAY
        if container.state != "running":
            return False
        for place in container.places:
            each.will("connect_container", settles=settles, **place)
        each.will("start_container", settles=settles, container=container.id)
        each.will("unpause_container", settles=settles, container=container.id)
        return True
