"""Tests of `gate/run`."""
