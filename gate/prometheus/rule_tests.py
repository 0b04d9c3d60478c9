"""Read promtool's unit tests of rules: which alerts they expect to fire, and which not to.

https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase

from msgspec import Struct

from gate.core.errors import GateError
from gate.core.messages import msg
from gate.prometheus import yaml_tree
from gate.prometheus.config_values import TEXT_TABLE, text
from gate.prometheus.goyaml import Anything, Decoder, Field, List, Object, Text, Values
from gate.prometheus.releases import Release
from gate.prometheus.yaml_tree import YamlSyntaxError

# How promtool names a failed case of an alert.
_FAILED_ALERT = re.compile(r"^\s*(?:name: .*,)?\s*alertname: ?(.+?), time: ", re.MULTILINE)

_CASE = Object(
    msg("a test of an alert"),
    {**text("alertname"), "exp_alerts": Field(List(Object(msg("an alert"), {"exp_labels": Field(TEXT_TABLE)})))},
)
_TEST = Object(msg("a test"), {"input_series": Field(List(Anything())), "alert_rule_test": Field(List(_CASE))})
_FILE = Object(msg("a unit test of rules"), {"rule_files": Field(List(Text())), "tests": Field(List(_TEST))})


class RuleTestsError(GateError):
    """A file that is not a unit test of rules."""


class AlertCase(Struct, frozen=True):
    """What is expected of one alert at one time: the labels of each alert of that name, none if it is silent.

    `has_series`: the test feeds series to the rules.
    """

    alert: str
    expected: tuple[Mapping[str, str], ...]
    has_series: bool = True


class RuleTests(Struct, frozen=True):
    """A file of unit tests: the rule files that it loads, as paths in the checkout, and its cases for alerts."""

    path: str
    rule_files: tuple[str, ...]
    cases: tuple[AlertCase, ...]

    def tests(self, rule_file: str) -> bool:
        """Return whether it loads a rule file of the checkout."""
        return any(fnmatchcase(rule_file, pattern) for pattern in self.rule_files)


def parse_rule_tests(path: str, raw: bytes) -> RuleTests:
    """Parse a file of unit tests, as far as its cases for alerts. Raise RuleTestsError."""
    # Other keys are promtool's to judge: what the decoder reports of them is ignored.
    decoder = Decoder(Release(), 3)
    try:
        node = yaml_tree.parse(raw)
        document = decoder.decode(node, _FILE) if node is not None else None
    except YamlSyntaxError as error:
        raise RuleTestsError(msg("{path}:{line}: {reason}", path=path, line=error.line, reason=error.message)) from None
    if not isinstance(document, Values) or not document["tests"]:
        raise RuleTestsError(msg("{path} is not a unit test of rules: it has no 'tests'", path=path))
    # Promtool resolves relative names from the folder of the file.
    folder = posixpath.dirname(path)
    files = tuple(posixpath.normpath(posixpath.join(folder, name)) for name in document["rule_files"] or ())
    return RuleTests(path, files, tuple(case for test in document["tests"] for case in _cases(test)))


def failed_alerts(output: str) -> list[str]:
    """Return the alerts that failed cases name, in what promtool reports of a file."""
    return list(dict.fromkeys(_FAILED_ALERT.findall(output)))


def _cases(test: Values) -> Iterator[AlertCase]:
    for case in test["alert_rule_test"] or ():
        expected = tuple(dict(alert["exp_labels"] or {}) for alert in case["exp_alerts"] or ())
        yield AlertCase(case["alertname"] or "", expected, bool(test["input_series"]))
