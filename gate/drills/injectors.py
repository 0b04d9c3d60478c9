"""What breaks staging in a drill: one of our faults, or a script of the user's own."""

from __future__ import annotations

import time
from collections.abc import Callable

from msgspec import Struct, field

from gate.checks.context import CheckContext
from gate.core.messages import Message, msg
from gate.drills.execution import RECOVERY, Answers, FaultNotProvenError
from gate.drills.spec import Script
from gate.runtime.processes import RunningCommand
from gate.staging import user_commands
from gate.staging.docker_client import DockerUnavailableError
from gate.staging.faults.base import PROOF_TIMEOUT, Fault, FaultError, FaultSite, TargetFault, poll
from gate.staging.faults.stop import runs_again, verify_restarted, verify_up
from gate.staging.target import RunningTarget

_HASTE = 5.0
_PATIENCE = 10.0
_UNDER_WAY = 11.0
"""Seconds that an engine may still be busy with what a script has asked of it that was stopped: `docker stop` takes 10.
"""


def max_revert_duration(made: Script) -> float:
    """Seconds that it takes at most to end what a script has begun, and to put back what it touches."""
    return _UNDER_WAY + len(made.touches) * 2 * PROOF_TIMEOUT


def lock_fault_site(context: CheckContext, target: str | None) -> FaultSite:
    """Where a fault goes, held for this run alone. Raises NoFault where faults can't be done, NoEngine where another
    run does some."""
    if context.stage is None:
        raise FaultError(msg("no fault can be done here"))
    running = context.targets[target] if target else RunningTarget(name="")
    if running.container is not None:
        context.stage.lock_container(running.container)
    return FaultSite(running=running, journal=context.stage.journal, root=context.root, cancelled=context.cancelled)


class FaultInjector(Struct):
    """A fault of ours."""

    context: CheckContext
    fault: Fault
    site: FaultSite
    refused: bool = False
    """Whether nothing was done at all: there is nothing to take back."""

    def inject(self) -> Message:
        try:
            self._must_be_up()
            self._must_be_alone()
            self.fault.inject(self.site)
        except (FaultError, DockerUnavailableError) as error:
            self.refused = not self.site.acts
            raise FaultNotProvenError(error.message) from error
        except Exception as error:
            raise FaultNotProvenError(msg("it could not be put in: {why}", why=str(error))) from error
        proof = self._proved(lambda: self.fault.verify_injected(self.site))
        if proof is None:
            raise FaultNotProvenError(msg("it had no effect: {what} could not be seen", what=self.fault.describe()))
        return proof

    def _must_be_up(self) -> None:
        """Raises NoFault for a target that does not run as it should: of one that is broken already, a fault breaks
        nothing, and taking it back would not leave it as it was."""
        if isinstance(self.fault, TargetFault) and verify_up(self.site) is None:
            raise FaultError(msg("{target} is not up before the fault: nothing of it could be broken",
                              target=self.site.running.name))  # fmt: skip

    def _must_be_alone(self) -> None:
        """Raise NoFault if another container answers to a name of the target: it would get part of the requests."""
        container = self.site.running.container
        if isinstance(self.fault, TargetFault) and container is not None and (twins := container.twins()):
            raise FaultError(msg("{others} would still answer in the place of {target}: they have a name of it, too",
                              others=", ".join(twins), target=self.site.running.name))  # fmt: skip

    def wait(self) -> Message | None:
        return None

    def answers(self) -> list[Answers]:
        return (
            [] if self.refused or not isinstance(self.fault, TargetFault) else [answers_again(self.context, self.site)]
        )

    def revert(self) -> Message:
        if self.refused:
            return msg("nothing was done that could be taken back")
        try:
            self.fault.revert(self.site)
        except Exception as error:
            raise FaultNotProvenError(msg("it could not be taken back: {why}", why=_reasons(error))) from error
        proof = self._proved(lambda: self.fault.verify_reverted(self.site))
        if proof is None:
            raise FaultNotProvenError(msg("it was taken back, and could not be seen to be gone"))
        return proof

    def _proved(self, proof: Callable[[], Message | None]) -> Message | None:
        patience = _HASTE if self.context.cancelled.is_set() else _PATIENCE
        try:
            return poll(proof, patience)
        except (FaultError, DockerUnavailableError) as error:
            raise FaultNotProvenError(error.message) from error
        except Exception as error:
            raise FaultNotProvenError(msg("it could not be looked at: {why}", why=str(error))) from error


def answers_again(context: CheckContext, each: FaultSite) -> Answers:
    """Return what proves that a target answers again, with the time that its `ready` has."""
    assert context.stage is not None
    ready = context.stage.targets[each.running.name].ready
    return Answers(each.running.name, ready.within if ready else RECOVERY, lambda: verify_restarted(each))


def _reasons(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_reasons(each) for each in error.exceptions)
    return str(error)


class ScriptInjector(Struct, dict=True):
    """A script of the user's own: its exit code is the proof, and what it touches is put back as it was."""

    context: CheckContext
    script: Script
    running: list[FaultSite] = field(default_factory=list)
    """What it touches and ran before, and has to run again."""
    begun: RunningCommand | None = None
    stopped: bool = False
    """Whether the script was not left to its end: nobody knows what it has put back."""

    def __post_init__(self) -> None:
        """Raises NoFault where what it touches can't be reached: it could not be put back."""
        self.journal = lock_fault_site(self.context, None).journal
        self.sites = [lock_fault_site(self.context, name) for name in self.script.touches]
        for each in self.sites:
            _ = each.process or each.container

    def inject(self) -> Message | None:
        self.running = [each for each in self.sites if self._remember(each)]
        try:
            self.begun = self._begin()
        except OSError as error:
            raise FaultNotProvenError(msg("the script could not be run: {why}", why=str(error))) from error
        return None

    def wait(self) -> Message | None:
        assert self.begun is not None
        done = self.begun.wait()
        self.stopped = done.end_reason != "exit"
        if not self.stopped:
            for each in self.running:
                each.mark_settled()
        why = user_commands.describe_failure(self.script.command[0], done)
        if why is not None:
            raise FaultNotProvenError(why)
        return msg("the script exited with 0")

    def _begin(self) -> RunningCommand:
        return user_commands.start_command(
            self.script.command,
            root=self.context.root,
            timeout=self.script.timeout,
            on_group_created=self.journal.record_process,
            env_marker=self.journal.env_marker,
            cancelled=self.context.cancelled,
        )

    def answers(self) -> list[Answers]:
        return [answers_again(self.context, each) for each in self.running]

    def revert(self) -> Message:
        if self.stopped and not self.sites:
            raise FaultNotProvenError(msg("the script was stopped, and `touches` names nothing that could be put back"))
        if self.stopped and any(each.acts for each in self.running):
            time.sleep(_UNDER_WAY)
        for each in self.running:
            self._put_back(each)
        if not self.sites:
            return msg("the script has ended, and `touches` names nothing to look at")
        return msg("what it touches is as it was")

    def _put_back(self, each: FaultSite) -> None:
        try:
            each.revert_all()
            if each.process:
                each.process.resume()
            back = poll(lambda: runs_again(each))
        except Exception as error:
            raise FaultNotProvenError(msg("it could not be taken back: {why}", why=_reasons(error))) from error
        if back is None:
            raise FaultNotProvenError(msg("{target} does not run again", target=each.running.name))

    def _remember(self, each: FaultSite) -> bool:
        """Whether a target runs; writes down how it is put back as it is: on the network, started, not paused."""
        if each.process:
            return each.process.running
        container, settle_timeout = each.container, self.script.timeout + _UNDER_WAY
        if container.state != "running":
            return False
        for place in container.places:
            each.journal_intent("connect_container", settle_timeout=settle_timeout, **place)
        each.journal_intent("start_container", settle_timeout=settle_timeout, container=container.id)
        each.journal_intent("unpause_container", settle_timeout=settle_timeout, container=container.id)
        return True
