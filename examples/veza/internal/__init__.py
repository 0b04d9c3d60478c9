"""veza-backend-api: a small API with the health endpoints, metrics and dependencies of the real one."""
