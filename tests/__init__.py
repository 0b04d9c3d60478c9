"""Tests of the gate, and what they share."""
