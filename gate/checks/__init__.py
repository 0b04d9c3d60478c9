"""Provide the checks: one module per kind, each a subclass of `gate.checks.base.Check`."""

from gate.core.plugins import Registry

CHECKS = Registry(
    "gate.checks",
    excluded=frozenset({"attempts", "base", "context", "entry", "events", "prometheus_queries"}),
    modules={"drill": "gate.drills.check"},
)
