"""Tests of each kind of check, and the examples of their pages."""
