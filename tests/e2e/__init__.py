"""Whole runs, with an engine and real servers."""
