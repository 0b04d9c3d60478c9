"""prodgate: the gate between a commit and production."""

__version__ = "0.1.0"
