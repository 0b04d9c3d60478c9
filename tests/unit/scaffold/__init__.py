"""Tests of `gate/scaffold`."""
