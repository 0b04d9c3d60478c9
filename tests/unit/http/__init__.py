"""Tests of `gate/http`."""
