"""The faults: one module each. `gate.staging.faults.base` is what each of them satisfies."""

from gate.registry import Registry

FAULTS = Registry("gate.staging.faults", word="fault", apart=frozenset({"base", "behind"}))
