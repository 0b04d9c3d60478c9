"""The checks: one module per kind of question. `gate.checks.base` is what each of them satisfies."""

from gate.core.plugins import Registry

CHECKS = Registry(
    "gate.checks",
    excluded=frozenset({"base", "context", "entry", "prometheus_queries"}),
    modules={"drill": "gate.drills.check"},
)
