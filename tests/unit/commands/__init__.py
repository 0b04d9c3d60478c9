"""Tests of `gate/commands`."""
