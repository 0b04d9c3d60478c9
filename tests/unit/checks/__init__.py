"""Tests of `gate/checks`."""
