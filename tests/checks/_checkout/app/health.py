"""Health endpoints."""


def ready(database):
    """Respond 200 if the database responds, else 503."""
    if not database.ping():
        return 503, {"status": "not_ready"}
    return 200, {"status": "ready"}
