"""Tests of `gate/core`."""
