"""Inject and revert the fault of a drill: a fault of the gate, or a script of the user."""

from __future__ import annotations

import time
from collections.abc import Callable

from msgspec import Struct, field

from gate.checks.context import CheckContext
from gate.core.messages import Message, msg
from gate.drills.execution import DEFAULT_RECOVERY_TIMEOUT, FaultNotProvenError, TargetRecovery
from gate.drills.spec import Script
from gate.model import Status
from gate.runtime.processes import RunningCommand
from gate.staging import user_commands
from gate.staging.errors import StagingError
from gate.staging.faults.base import (
    PROOF_TIMEOUT,
    Fault,
    FaultError,
    FaultSite,
    OperationFailedError,
    TargetFault,
    poll,
)
from gate.staging.faults.stop import is_running, restart_and_verify, verify_restarted, verify_up
from gate.staging.target import RunningTarget

_PROOF_TIMEOUT = 10.0
# Seconds to wait for a proof after the run was cancelled.
_CANCELLED_PROOF_TIMEOUT = 5.0
# Seconds for which an engine may still execute what a killed script requested: `docker stop` alone takes 10.
_ENGINE_SETTLE_TIME = 11.0


def max_revert_duration(script: Script) -> float:
    """Return the seconds that it takes at most to end a script and to restore what it touches."""
    return _ENGINE_SETTLE_TIME + len(script.touches) * 2 * PROOF_TIMEOUT


def lock_fault_site(context: CheckContext, target: str | None) -> FaultSite:
    """Lock a target for the faults of this run.

    Raises FaultError if no fault can be injected here, StagingError if another run holds the lock.
    """
    if context.stage is None:
        raise FaultError(msg("no fault can be injected here"))
    running = context.targets[target] if target else RunningTarget(name="")
    for container in running.service_containers:
        context.stage.lock_container(container)
    return FaultSite(
        running=running,
        journal=context.stage.journal,
        root=context.root,
        cancelled=context.cancelled,
        ready=context.stage.targets[target].readiness if target else None,
        journal_removal=context.stage.journal_removal,
    )


class FaultInjector(Struct):
    """Injects a fault of the gate."""

    context: CheckContext
    fault: Fault
    site: FaultSite
    # The fault was refused before its first action, so there is nothing to revert.
    refused: bool = False

    def inject(self) -> Message:
        """Inject the fault, or its first step, into a target that is up, and observe its effect."""
        steps = self.fault.steps()
        fault = steps[0].fault if steps else self.fault
        try:
            self._require_up()
            self._require_no_twin()
            fault.inject(self.site)
        except OperationFailedError as error:
            raise FaultNotProvenError(error.message, status=Status.FAIL) from error
        except (FaultError, StagingError) as error:
            self.refused = not self.site.actions
            raise FaultNotProvenError(error.message) from error
        except Exception as error:
            raise FaultNotProvenError(msg("the fault could not be injected: {why}", why=str(error))) from error
        return self._require_proof(fault)

    def change_to(self, fault: Fault) -> Message:
        """Change the injected fault to its next step, and observe its effect."""
        try:
            fault.change(self.site)
        except (FaultError, StagingError) as error:
            raise FaultNotProvenError(error.message) from error
        return self._require_proof(fault)

    def _require_proof(self, fault: Fault) -> Message:
        proof = self._await_proof(lambda: fault.verify_injected(self.site))
        self._refresh_address()
        if proof is None:
            raise FaultNotProvenError(msg("the fault had no effect: {what} was not observed", what=fault.describe()))
        return proof

    def _require_up(self) -> None:
        """Raise FaultError if the target is not up."""
        # a fault changes nothing in a target that is already down, and its revert would start what was not running
        if isinstance(self.fault, TargetFault) and verify_up(self.site) is None:
            raise FaultError(msg("{target} was already down before the fault", target=self.site.running.name))

    def _require_no_twin(self) -> None:
        """Raise FaultError if another container has a name of the target: it would get part of the requests."""
        containers = self.site.running.service_containers if isinstance(self.fault, TargetFault) else ()
        replicas = [container.id for container in containers]
        conflicts = sorted({name for container in containers for name in container.alias_conflicts(replicas)})
        if conflicts:
            raise FaultError(msg("{others} would still respond instead of {target}: the containers share a name",
                                 others=", ".join(conflicts), target=self.site.running.name))  # fmt: skip

    def _refresh_address(self) -> None:
        """Let the checks use the current address of the target: Docker may have assigned another one."""
        if self.context.stage is not None and self.site.running.containers:
            self.context.stage.refresh_address(self.site.running.name)

    def wait(self) -> Message | None:
        """Return None: a fault of the gate is proved when it is injected."""
        return None

    def recoveries(self) -> list[TargetRecovery]:
        """Return the target of the fault, unless the fault was refused."""
        if self.refused or not isinstance(self.fault, TargetFault):
            return []
        return [target_recovery(self.context, self.site)]

    def revert(self) -> Message:
        """Revert the fault and observe that its effect is gone."""
        if self.refused:
            return msg("no fault was injected; nothing to revert")
        try:
            self.fault.revert(self.site)
        except Exception as error:
            raise FaultNotProvenError(msg("the revert failed: {why}", why=_join_reasons(error))) from error
        proof = self._await_proof(lambda: self.fault.verify_reverted(self.site))
        self._refresh_address()
        if proof is None:
            raise FaultNotProvenError(msg("the revert was executed, but its effect was not observed"))
        return proof

    def _await_proof(self, verify: Callable[[], Message | None]) -> Message | None:
        timeout = _CANCELLED_PROOF_TIMEOUT if self.context.cancelled.is_set() else _PROOF_TIMEOUT
        try:
            return poll(verify, timeout)
        except (FaultError, StagingError) as error:
            raise FaultNotProvenError(error.message) from error
        except Exception as error:
            raise FaultNotProvenError(msg("the target could not be inspected: {why}", why=str(error))) from error


def target_recovery(context: CheckContext, site: FaultSite) -> TargetRecovery:
    """Return the proof that a target responds again, with the time of its `ready`."""
    assert context.stage is not None
    ready = context.stage.targets[site.running.name].ready
    within = ready.within if ready else DEFAULT_RECOVERY_TIMEOUT
    return TargetRecovery(site.running.name, within, lambda: verify_restarted(site))


def _join_reasons(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_join_reasons(nested) for nested in error.exceptions)
    return str(error)


class ScriptInjector(Struct, dict=True):
    """Runs a script of the user. Its exit code is the proof; the targets that it touches are restored."""

    context: CheckContext
    script: Script
    # Touched targets that ran before the script, and must run again after it.
    running_sites: list[FaultSite] = field(default_factory=list)
    command: RunningCommand | None = None
    # The script did not end by itself, so what it reverted is not known.
    was_stopped: bool = False

    def __post_init__(self) -> None:
        """Lock the touched targets. Raises FaultError if one can't be reached: it could not be restored."""
        self.journal = lock_fault_site(self.context, None).journal
        self.sites = [lock_fault_site(self.context, name) for name in self.script.touches]
        for site in self.sites:
            _ = site.process or site.containers

    def inject(self) -> Message | None:
        """Start the script, after journaling how to restore each running target that it touches."""
        self.running_sites = [site for site in self.sites if self._journal_running(site)]
        try:
            self.command = self._start()
        except OSError as error:
            raise FaultNotProvenError(msg("the script could not be started: {why}", why=str(error))) from error
        return None

    def change_to(self, fault: Fault) -> Message:
        """Raise NotImplementedError: a script has no steps."""
        raise NotImplementedError

    def wait(self) -> Message | None:
        """Wait until the script exits with 0 within its time limit."""
        assert self.command is not None
        completed = self.command.wait()
        self.was_stopped = completed.end_reason != "exit"
        if not self.was_stopped:
            for site in self.running_sites:
                site.mark_settled()
        failure = user_commands.describe_failure(self.script.command[0], completed)
        if failure is not None:
            raise FaultNotProvenError(failure)
        return msg("the script exited with 0")

    def _start(self) -> RunningCommand:
        return user_commands.start_command(
            self.script.command,
            root=self.context.root,
            timeout=self.script.timeout,
            on_group_created=self.journal.record_process,
            env_marker=self.journal.env_marker,
            cancelled=self.context.cancelled,
        )

    def recoveries(self) -> list[TargetRecovery]:
        """Return the touched targets that ran before the script."""
        return [target_recovery(self.context, site) for site in self.running_sites]

    def revert(self) -> Message:
        """Restore every touched target that ran before the script."""
        if self.was_stopped and not self.sites:
            raise FaultNotProvenError(
                msg("the script was stopped before its end, and `touches` names no target to restore")
            )
        if self.was_stopped and any(site.actions for site in self.running_sites):
            time.sleep(_ENGINE_SETTLE_TIME)
        for site in self.running_sites:
            self._restore(site)
        if not self.sites:
            return msg("the script has ended; `touches` names no target to verify")
        return msg("every touched target is restored")

    def _restore(self, site: FaultSite) -> None:
        try:
            site.revert_all()
            if site.process:
                site.process.resume()
            proof = poll(lambda: restart_and_verify(site))
        except Exception as error:
            raise FaultNotProvenError(msg("the revert failed: {why}", why=_join_reasons(error))) from error
        if proof is None:
            raise FaultNotProvenError(msg("{target} does not run again", target=site.running.name))

    def _journal_running(self, site: FaultSite) -> bool:
        """Return whether a target runs. If it does, journal how to restore it: connected, started, not paused."""
        if site.process:
            return site.process.running
        settle_timeout = self.script.timeout + _ENGINE_SETTLE_TIME
        if not all(map(is_running, site.containers)):
            return False
        for container in site.containers:
            for config in container.network_configs:
                site.journal_intent("connect_container", settle_timeout=settle_timeout, **config)
            site.journal_intent("start_container", settle_timeout=settle_timeout, container=container.id)
            site.journal_intent("unpause_container", settle_timeout=settle_timeout, container=container.id)
        return True
