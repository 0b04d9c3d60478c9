"""Tests of `gate/report`."""
