"""Tests of `gate/testresults`."""
