"""Tests of `gate/source`."""
