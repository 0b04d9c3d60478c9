"""Tests of `gate/render`."""
