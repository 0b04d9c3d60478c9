"""Tests of `gate/alertmanager`."""
