"""Tests of drills and faults, with processes and containers."""
