"""Tests of `gate/staging`."""
