"""What breaks staging in a drill: one of our faults, or a script of the user's own."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

from gate.checks._drill.course import NoProof
from gate.checks._drill.spec import Script
from gate.checks.world import World
from gate.messages import Message, say
from gate.secrets import end_of
from gate.staging.engine import NoEngine
from gate.staging.faults.base import Fault, NoFault, Site, wait_for
from gate.staging.faults.stop import up
from gate.staging.staged import Staged

_SHOWN = 2000
_HASTE = 5.0
_PATIENCE = 10.0


def site(world: World, target: str | None) -> Site:
    """Where a fault goes. Raises NoFault where faults can't be done."""
    if world.stage is None:
        raise NoFault(say("no fault can be done here"))
    staged = world.targets[target] if target else Staged(name="")
    return Site(staged=staged, journal=world.stage.journal, root=world.root)


@dataclass
class FaultBreaker:
    """A fault of ours."""

    world: World
    fault: Fault
    site: Site

    def put_in(self) -> Message:
        try:
            self.fault.inject(self.site)
        except (NoFault, NoEngine) as error:
            raise NoProof(error.message) from error
        except Exception as error:
            raise NoProof(say("it could not be put in: {why}", why=str(error))) from error
        proof = self._proved(lambda: self.fault.holds(self.site))
        if proof is None:
            raise NoProof(say("it had no effect: {what} could not be seen", what=self.fault.effect()))
        return proof

    def take_back(self) -> Message:
        try:
            self.fault.undo(self.site)
        except Exception as error:
            raise NoProof(say("it could not be taken back: {why}", why=_reasons(error))) from error
        proof = self._proved(lambda: self.fault.gone(self.site))
        if proof is None:
            raise NoProof(say("it was taken back, and could not be seen to be gone"))
        return proof

    def _proved(self, proof: object) -> Message | None:
        patience = _HASTE if self.world.cancelled.is_set() else _PATIENCE
        try:
            return wait_for(proof, patience)  # type: ignore[arg-type]
        except (NoFault, NoEngine) as error:
            raise NoProof(error.message) from error


def _reasons(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_reasons(each) for each in error.exceptions)
    return str(error)


@dataclass
class ScriptBreaker:
    """A script of the user's own: its exit code is the proof, and what it touches is started again where it is not."""

    world: World
    script: Script

    def put_in(self) -> Message:
        self.sites = [site(self.world, name) for name in self.script.touches]
        for each in self.sites:
            if each.staged.container is not None:
                each.acts.append(each.journal.before("start_container", container=each.staged.container.id))
        try:
            done = subprocess.run(
                self.script.command,
                cwd=self.world.root,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=self.script.timeout,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NoProof(say("the script could not be run: {why}", why=str(error))) from error
        said = end_of(done.stdout.decode("utf-8", "replace"), _SHOWN)
        if done.returncode:
            raise NoProof(say("the script exited with {code}: {said}", code=done.returncode, said=said))
        return say("the script exited with 0")

    def take_back(self) -> Message:
        for each in getattr(self, "sites", []):
            try:
                each.take_back()
                if each.process and not each.process.running:
                    each.process.start()
            except Exception as error:
                raise NoProof(say("it could not be taken back: {why}", why=_reasons(error))) from error
            if wait_for(lambda each=each: up(each)) is None:  # type: ignore[misc]
                raise NoProof(say("{target} does not run again", target=each.staged.name))
        return say("what it touches runs")
