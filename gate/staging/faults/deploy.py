"""`deploy`: replace the target by another image, build or command, such as the previous release, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from msgspec import Meta

from gate.core.messages import Message, msg
from gate.core.override import override
from gate.decode.quantities import PositiveDurationSeconds
from gate.model import NonEmptyStr
from gate.redaction.secrets import redacted_head
from gate.staging.container import Container, build_image, compose_labels, pull_image
from gate.staging.docker_client import ENGINE_SETTLE_TIMEOUT, RUN_LABEL, docker_client
from gate.staging.faults.base import FaultError, FaultSite, OperationFailedError, TargetFault
from gate.staging.faults.restart import STOP_GRACE, await_ready, stop_process
from gate.staging.faults.stop import reject_auto_remove, verify_running
from gate.staging.spec import CommandLine, EnvValue, Start

if TYPE_CHECKING:
    from gate.staging.spec import Target

# What a container gets from its image unless it was created with a value of its own.
_FROM_IMAGE = ("Cmd", "Entrypoint", "WorkingDir", "User", "Healthcheck", "StopSignal", "ExposedPorts", "Volumes")


class Deploy(TargetFault):
    """Stop the target and start another release in its place, with its networks, ports, volumes and environment."""

    kind: ClassVar[str] = "deploy"
    summary: ClassVar[str] = "the target is replaced by another release, and back"
    needs_port: ClassVar[bool] = False

    image: Annotated[NonEmptyStr | None, Meta(description="The image of the other release.")] = None
    build: Annotated[NonEmptyStr | None, Meta(description="A folder to build its image from.")] = None
    dockerfile: Annotated[NonEmptyStr, Meta(description="The Dockerfile, relative to `build`.")] = "Dockerfile"
    args: Annotated[dict[str, str], Meta(description="Build arguments.")] = {}
    command: Annotated[
        CommandLine | None,
        Meta(description="The command of a process; that of a container, instead of the image's own."),
    ] = None
    environment: Annotated[dict[str, EnvValue], Meta(description="Variables that differ.")] = {}
    within: Annotated[
        PositiveDurationSeconds, Meta(description="How long it may take until the other release is ready.")
    ] = 30.0

    def __post_init__(self) -> None:
        if self.image and self.build:
            raise ValueError("expected one of 'image' and 'build', got both")
        if not (self.image or self.build or self.command):
            raise ValueError("expected an 'image', a 'build' or a 'command'")

    @override
    def unsupported_reason(self, target: Target) -> str | None:
        if reason := super().unsupported_reason(target):
            return reason
        is_process = target.start is not None and target.start.kind == "command"
        if is_process and not self.command:
            return "expected a 'command' under 'deploy': the target is a process"
        if is_process and (self.image or self.build):
            return "expected no 'image' and no 'build' under 'deploy': the target is a process"
        if not is_process and not (self.image or self.build):
            return "expected an 'image' or a 'build' under 'deploy': the target is a container"
        return None

    @property
    @override
    def needs_detection(self) -> bool:
        return False

    @override
    def prepare(self, site: FaultSite) -> None:
        if site.process:
            return
        from docker.errors import DockerException

        try:
            if self.image:
                pull_image(docker_client(), self.image, lambda text: None)
            else:
                site.journal_removal()
                start = Start(build=self.build, dockerfile=self.dockerfile, args=self.args)
                build_image(_name(site), start, site.root, site.journal.run_id, lambda text: None)
        except (DockerException, OSError) as error:
            why = redacted_head(str(error), 500)
            raise FaultError(msg("{image} is not available: {why}", image=self._release, why=why)) from error

    @override
    def inject(self, site: FaultSite) -> None:
        site.instances_before = site.instances
        if site.process:
            stop_process(site)
            site.process.replace(self.command or [], self.environment)
            site.process.start()
        else:
            self._replace_container(site)
        await_ready(site, self.within)

    def _replace_container(self, site: FaultSite) -> None:
        """Stop the container and start one of the other release with its configuration."""
        from docker.errors import DockerException

        reject_auto_remove(site)
        container = _only_container(site)
        old, networks = container.handle, container.network_configs
        config = self._config(site)
        name = f"prodgate-{site.journal.run_id}-{_name(site)}"
        with site.journaled("start_container", settle_timeout=STOP_GRACE + ENGINE_SETTLE_TIMEOUT, container=old.id):
            old.stop(timeout=STOP_GRACE)
        client = docker_client()
        try:
            with site.journaled("remove_container", container=name):
                created = client.api.create_container_from_config(config, name)  # type: ignore[no-untyped-call]
                for network in networks[1:]:
                    client.networks.get(network["network"]).connect(
                        name, aliases=network["aliases"], ipv4_address=network["address"],
                        ipv6_address=network["address6"],
                    )  # fmt: skip
                client.api.start(created)
        except DockerException as error:
            why = redacted_head(str(error), 500)
            raise OperationFailedError(
                msg("{release} cannot be started: {why}", release=self._release, why=why)
            ) from error
        container.replaced = old
        container.handle = client.containers.get(name)
        # A release that has exited has no address; that it is not ready is found next.
        if site.running.host and container.addresses and container.host != site.running.host:
            raise FaultError(
                msg("{target} got another address, at which nobody looks for it; set `PRODGATE_NETWORK`",
                    target=site.running.name)
            )  # fmt: skip

    def _config(self, site: FaultSite) -> dict[str, Any]:
        """Return how the container of the other release is created: as the target, without what its image defined."""
        client, attrs = docker_client(), _only_container(site).handle.attrs
        image = client.images.get(attrs["Image"]).attrs.get("Config") or {}
        config = {key: value for key, value in attrs["Config"].items() if key not in ("Image", "MacAddress")}
        if attrs["Id"].startswith(config.get("Hostname") or ""):
            config.pop("Hostname", None)
        for key in _FROM_IMAGE:
            if config.get(key) == image.get(key):
                config.pop(key, None)
        environment = [line for line in config.get("Env") or [] if line not in (image.get("Env") or [])]
        config["Env"] = [*environment, *(f"{key}={value}" for key, value in self.environment.items())]
        if self.command:
            config["Cmd"] = self.command
        first = _only_container(site).network_configs[:1]
        endpoints = {
            network["network"]: client.api.create_endpoint_config(
                aliases=network["aliases"], ipv4_address=network["address"], ipv6_address=network["address6"]
            )
            for network in first
        }
        host_config = {**attrs["HostConfig"], "VolumesFrom": [attrs["Id"]], "AutoRemove": False}
        labels = {
            **(config.get("Labels") or {}),
            **compose_labels(_only_container(site).handle),
            RUN_LABEL: site.journal.run_id,
        }
        return {
            **config,
            "Image": self.image or f"prodgate-{site.journal.run_id}-{_name(site)}".lower(),
            "Labels": labels,
            "HostConfig": host_config,
            "NetworkingConfig": {"EndpointsConfig": endpoints},
        }

    @override
    def verify_injected(self, site: FaultSite) -> Message | None:
        instances = site.instances
        if not instances or instances & site.instances_before:
            return None
        if not site.process and _is_running(_only_container(site).replaced):
            return None
        return msg("{release} runs instead of {target}, and is ready", release=self._release, target=self.target)

    @override
    def revert(self, site: FaultSite) -> None:
        if site.process:
            site.process.restore()
            site.process.start()
        elif (container := _only_container(site)).replaced is not None:
            container.handle, container.replaced = container.replaced, None
        site.revert_all()

    @override
    def verify_reverted(self, site: FaultSite) -> Message | None:
        if site.process:
            site.process.restart_if_dead()
            return verify_running(site) if not site.process.is_replaced else None
        return verify_running(site)

    @override
    def max_duration(self) -> float:
        return super().max_duration() + 2 * STOP_GRACE + self.within

    @override
    def describe(self) -> Message:
        return msg("replace {target} by {release}, and back", target=self.target, release=self._release)

    @property
    def _release(self) -> str:
        """Return the other release, for people."""
        return self.image or self.build or " ".join(self.command or [])


def _only_container(site: FaultSite) -> Container:
    """Return the target's container. Raise FaultError if it has several."""
    if len(site.containers) > 1:
        raise FaultError(
            msg("{target} has several containers, and only one can be replaced; name it with `replica`",
                target=site.running.name)
        )  # fmt: skip
    return site.containers[0]


def _name(site: FaultSite) -> str:
    return f"instead-of-{site.running.name}"


def _is_running(handle: Any) -> bool:
    handle.reload()
    return bool(handle.attrs["State"]["Running"])
