"""Tests of the repository itself: documentation, workflows, packaging and releases."""
