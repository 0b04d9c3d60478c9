"""The faults: one module each. `gate.staging.faults.base` is what each of them satisfies."""

from gate.core.plugins import Registry

FAULTS = Registry("gate.staging.faults", excluded=frozenset({"base"}))
