"""Targets as containers and processes, the faults done to them, and the journal that undoes those."""
