"""Tests of `gate/publish`."""
