"""Run a checklist: start targets, run items in parallel, respect the deadline."""
