"""The faults, one module each. Each satisfies the interface in `gate.staging.faults.base`."""

from gate.core.plugins import Registry

FAULTS = Registry("gate.staging.faults", excluded=frozenset({"base"}))
