"""Read and run promtool's unit tests of rules: which alerts have one that fires, and one that stays silent."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from gate.checks._checkout import find_files, read_bytes, relative_path
from gate.checks._promtool import Edition, run_rule_tests
from gate.checks.base import ObservationError
from gate.checks.context import CheckContext
from gate.checks.prometheus_queries import no_match_message
from gate.core.messages import Message, msg
from gate.prometheus.missing_series import all_selectors
from gate.prometheus.rule_tests import AlertCase, RuleTests, RuleTestsError, failed_alerts, parse_rule_tests
from gate.prometheus.rules import Rule, bears_labels
from gate.redaction.secrets import redacted_head


class UnitTests(Struct, frozen=True):
    """The files of unit tests, and promtool's report of each that failed. `runner` is None if none was run."""

    files: tuple[RuleTests, ...]
    failures: Mapping[str, str] = {}
    runner: Message | None = None

    def why_untested(self, rule: Rule, rule_file: str) -> Message | None:
        """Return why an alert has no passing unit test with a firing and a silent case; None if it has one."""
        used = [tests for tests in self.files if tests.tests(rule_file)]
        cases = [case for tests in used for case in tests.cases if case.alert == rule.name]
        if not cases:
            return msg("no unit test")
        if not any(_fires(case, rule) for case in cases):
            return msg("no unit test in which it fires")
        # Without any series most alerts are silent, whatever their expression.
        if not any(not _fires(case, rule) and (case.has_series or not all_selectors(rule.expr)) for case in cases):
            return msg("no unit test in which it stays silent although there are series")
        for tests in used:
            output = self.failures.get(tests.path)
            if output is not None and (not (named := failed_alerts(output)) or rule.name in named):
                return msg("its unit test {path} fails: {why}", path=tests.path, why=_reason(output, rule.name))
        return None


def _fires(case: AlertCase, rule: Rule) -> bool:
    """Return whether a case expects an alert that can be this rule's."""
    return any(bears_labels(labels, rule.labels) for labels in case.expected)


def _reason(output: str, alert: str) -> str:
    """Return the beginning of what promtool reports of an alert, or of the file, in one line."""
    text = output[max(0, output.find(f"alertname: {alert},")) :]
    return redacted_head(" ".join(text.split()), 200)


def read_unit_tests(context: CheckContext, pattern: str, edition: Edition) -> UnitTests:
    """Return the unit tests that a path or glob names, run if there is a promtool. Raises ObservationError."""
    root = context.root.resolve()
    paths = find_files(context, pattern)
    if not paths:
        raise ObservationError(no_match_message(pattern), final=True)
    files: list[RuleTests] = []
    failures: dict[str, str] = {}
    runner = None
    for path in paths:
        raw, name = read_bytes(path, root), relative_path(path, root)
        try:
            tests = parse_rule_tests(name, raw)
        except RuleTestsError as error:
            raise ObservationError(error.message, final=True) from None
        files.append(tests)
        rules = {relative_path(rule, root): read_bytes(rule, root)
                 for wanted in tests.rule_files if not wanted.startswith(("/", ".."))
                 for rule in find_files(context, wanted)}  # fmt: skip
        judge = run_rule_tests(context, edition, name, {**rules, name: raw})
        if judge.refusals is not None:
            runner = judge.name
            failures |= {refused: refusal.reason for refused, refusal in judge.refusals.items()}
    return UnitTests(tuple(files), failures, runner)
