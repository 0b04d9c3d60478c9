"""Tests of `gate/runtime`."""
