"""Tests of `gate/grafana`."""
