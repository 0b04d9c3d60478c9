"""Start targets as containers and processes, inject and revert faults, and recover from crashed runs."""
