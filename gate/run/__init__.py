"""Runs a checklist: awaits targets, asks items in parallel, ends in time."""
