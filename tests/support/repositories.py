"""Small repositories for `prodgate init`: files in, checklist and workflow out."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import yaml
from msgspec import Struct

from gate.checklist.load import load_text
from gate.checklist.models import Checklist
from gate.scaffold.proposals.compose import propose_project
from gate.scaffold.proposals.drills import propose_drills
from gate.scaffold.proposals.wiring import wire
from gate.scaffold.scan import scan
from gate.scaffold.writers.checklist import checklist
from gate.scaffold.writers.compose import override
from gate.scaffold.writers.summary import summary
from gate.scaffold.writers.workflow import workflow


class Proposal(Struct):
    """What `prodgate init` would write for a repository, as text and loaded."""

    text: str
    checklist: Checklist
    job: dict[str, Any]
    workflow: str
    summary: str
    override: str

    def environment(self, target: str) -> dict[str, str]:
        """Return the environment of a target that the gate starts."""
        start = self.checklist.targets[target].start
        assert start
        return start.environment

    @property
    def drills(self) -> dict[str, Any]:
        """Return the active drills by id, as the checklist has them in YAML."""
        items = [item for section in yaml.safe_load(self.text)["sections"] for item in section["items"]]
        return {item["id"]: item["drill"] for item in items if "drill" in item}

    @property
    def notes(self) -> str:
        """Return the comments at the top of the checklist."""
        return self.text.partition("\nversion: 1")[0]


def write(root: Path, files: dict[str, str], *, git: bool = True) -> Path:
    """Write files into a folder and let git track them."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    if git:
        environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
        for words in (("init", "-q", "."), ("add", "--all", "--force")):
            subprocess.run(["git", *words], cwd=root, env=environment, check=True)
    return root


def propose(root: Path, *, compose: bool = False, job_network: bool = False) -> Proposal:
    """Return what `prodgate init` would write for a folder, with or without `--compose` and `--job-network`."""
    found = scan(root)
    project = propose_project(found, job_network=job_network) if compose or job_network else None
    wiring = wire(found, project)
    drills = propose_drills(found, wiring)
    text = checklist(found, wiring, drills, "shop")
    written = workflow(found, wiring, "prodgate.yml", "")
    return Proposal(
        text,
        load_text(text, "prodgate.yml", {}).checklist,
        yaml.safe_load(written)["jobs"]["gate"],
        written,
        summary(found, wiring, drills, "prodgate.yml"),
        override(project) if project else "",
    )
