"""Runs PostgreSQL, and turns SIGTERM into SIGINT: a "fast shutdown", which does not wait for clients to leave."""

import signal
import subprocess
import sys


def main(command: list[str]) -> int:
    """Run PostgreSQL until it exits and return its exit code."""
    child = subprocess.Popen(command)
    signal.signal(signal.SIGTERM, lambda number, frame: child.send_signal(signal.SIGINT))
    signal.signal(signal.SIGINT, lambda number, frame: child.send_signal(signal.SIGINT))
    return child.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
