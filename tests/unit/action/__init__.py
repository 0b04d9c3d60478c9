"""Tests of `gate/action`."""
