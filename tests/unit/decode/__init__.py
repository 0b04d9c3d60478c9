"""Tests of `gate/decode`."""
