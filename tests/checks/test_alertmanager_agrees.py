"""Test that an alertmanager.yml is judged and routed as amtool does, on generated files."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from gate.alertmanager.config import parse_config
from gate.prometheus.config import InvalidConfigError, Surroundings
from tests.support import alertmanager_files, amtools

_FILES = 1000
_TREES = 200


def _verdict(text: str, folder: Path) -> str:
    """Return why a configuration is not valid, "" if it is."""
    try:
        parse_config(text.encode(), Surroundings(folder, folder.resolve()))
    except InvalidConfigError as error:
        return f"{error.line}:{error.column}: {error.message}"
    return ""


def _disagreements(texts: Sequence[str], folder: Path) -> list[tuple[str, bool, str]]:
    theirs = amtools.valid(folder, texts)
    assert {True, False} == set(theirs)
    judged = [(text, good, _verdict(text, folder)) for text, good in zip(texts, theirs, strict=True)]
    return [(text, good, why) for text, good, why in judged if good is bool(why)]


def test_validity(tmp_path: Path) -> None:
    """Generated files, of which many are valid, are judged as `amtool check-config` judges them."""
    assert _disagreements(list(alertmanager_files.files(20, _FILES)), tmp_path) == []


def test_every_kind_of_receiver(tmp_path: Path) -> None:
    """Every kind of integration that Alertmanager knows is known, complete and with one key missing."""
    texts = []
    for kind, complete in alertmanager_files.COMPLETE.items():
        for entry in (complete, *({k: v for k, v in complete.items() if k != key} for key in complete)):
            made = alertmanager_files.minimal()
            made["receivers"][0][kind] = [entry]
            texts.append(json.dumps(made))
    assert _disagreements(texts, tmp_path) == []


def test_matchers(tmp_path: Path) -> None:
    """Matchers of both syntaxes are accepted or refused as amtool does."""
    texts = []
    for line in alertmanager_files.MATCHERS:
        made = alertmanager_files.minimal()
        made["route"]["routes"] = [{"matchers": [line]}]
        texts.append(json.dumps(made))
    assert _disagreements(texts, tmp_path) == []


def test_routing(tmp_path: Path) -> None:
    """Generated trees route generated labels to the receivers that `amtool config routes test` prints."""
    dice = random.Random(7)
    reached: Counter[str] = Counter()
    for number in range(_TREES):
        path = tmp_path / f"{number}.yml"
        path.write_text(json.dumps(alertmanager_files.routing_tree(dice), ensure_ascii=False))
        labels = alertmanager_files.label_set(dice)
        theirs = amtools.receivers(path, labels)
        ours = [route.receiver for route in parse_config(path.read_bytes()).route.match(labels)]
        assert ours == theirs, (labels, path.read_text())
        reached.update(theirs if len(theirs) == 1 else ["several"])
    assert len(reached) >= 5, reached
