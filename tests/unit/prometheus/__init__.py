"""Tests of `gate/prometheus`."""
