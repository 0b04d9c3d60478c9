"""The tutorial works as pasted, from the first block to the last one that a laptop can run."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.support import engine, images
from tests.support.pages import Reader, blocks, write
from tests.support.runner.job import Job, Service

PAGE = "docs/tutorial.md"


def test_the_tutorial_works_on_a_laptop(tmp_path: Path) -> None:
    """Each file is written, each command is run, and its output has the lines that the page shows."""
    reader = Reader(tmp_path, 5432, 8080)
    shown = blocks(PAGE)
    assert sum(block.language == "text" for block in shown) == 6
    for block in shown:
        reader.follow(block)


@pytest.mark.engine
@pytest.mark.xdist_group("e2e-tutorial")
def test_the_tutorial_works_on_github(tmp_path: Path) -> None:
    """The files of the tutorial in its workflow are the verdict that the laptop had."""
    engine.up()
    root = tmp_path / "repo" / "repo"
    for block in blocks(PAGE):
        if block.action:
            write(block, root)
    job = yaml.safe_load((root / ".github/workflows/prodgate.yml").read_text())["jobs"]["gate"]
    services = {name: Service(images.service(name), env=given["env"]) for name, given in job["services"].items()}
    with Job(tmp_path, images.action(), services=services) as runner:
        stage = runner.main(file=job["steps"][1]["with"]["file"])
    assert stage.outputs["verdict"] == "GO with reservations", stage.log.text
    assert stage.outputs["waived"] == "1"
