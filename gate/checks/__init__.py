"""The checks: one module per kind of question. `gate.checks.base` is what each of them satisfies."""

from gate.registry import Registry

CHECKS = Registry("gate.checks", word="check", apart=frozenset({"asked", "base", "world"}))
