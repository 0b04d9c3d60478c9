"""Health endpoints."""


def ready(database):
    if not database.ping():
        return 503, {"status": "not_ready"}
    return 200, {"status": "ready"}
