"""Write the override of the Compose project, and the commands of the workflow that bring it up and take it down."""

from __future__ import annotations

import shlex

from gate.scaffold.proposals.compose import NETWORK_VARIABLE, ComposeProject
from gate.scaffold.writers.yaml_text import scalar


def override(project: ComposeProject) -> str:
    """Return the text of the override; empty if the project needs none."""
    lines: list[str] = []
    if project.occupied:
        lines += ["# The workflow's service containers publish the same ports of the runner.", "services:"]
        lines += [line for name in project.occupied for line in (f"  {scalar(name)}:", "    ports: !reset []")]
    if project.job_network:
        lines += ["# The network of the job, where its service containers and the gate are.", "networks:"]
        lines += ["  default:", f"    name: ${{{NETWORK_VARIABLE}:?}}", "    external: true"]
    return "\n".join(["# What the gate changes of the Compose project.", *lines, ""]) if lines else ""


def bring_up(project: ComposeProject) -> str:
    """Return the commands that bring the project up. An env file that an earlier step wrote is kept."""
    copies = [f"test -e {shlex.quote(path)} || {shlex.join(['cp', source, path])}" for path, source in project.copies]
    return "\n".join([*copies, shlex.join([*_compose(project), "up", "--detach", "--wait"])])


def take_down(project: ComposeProject) -> str:
    """Return the command that removes the project."""
    return shlex.join([*_compose(project), "down", "--volumes"])


def _compose(project: ComposeProject) -> list[str]:
    return ["docker", "compose", *(word for file in project.files for word in ("-f", file))]
