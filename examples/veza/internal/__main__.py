"""Starts the API: `python -m internal`. Ends with 0 on SIGTERM and SIGINT, with 2 where the configuration is wrong."""

from __future__ import annotations

import signal
import sys
import threading

from internal.config import ConfigError, from_environment
from internal.server import Api, log


def main() -> int:
    """Serve until a signal arrives and return the exit code."""
    try:
        api = Api(from_environment())
    except (ConfigError, OSError) as error:
        log(f"cannot start: {error}")
        return 2

    def stop(number: int, frame: object) -> None:
        threading.Thread(target=api.stop, daemon=True).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    api.serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
