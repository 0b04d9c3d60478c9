"""Builds, writes and reads the report."""
