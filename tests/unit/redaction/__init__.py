"""Tests of `gate/redaction`."""
