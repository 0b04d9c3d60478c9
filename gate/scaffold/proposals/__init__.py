"""Decide what the gate should start, check and break, from what the readers found."""
