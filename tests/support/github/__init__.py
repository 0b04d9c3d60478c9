"""GitHub for tests: a server of ours with state, checked against GitHub's published description of its API."""
