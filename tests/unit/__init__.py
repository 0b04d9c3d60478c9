"""Tests without an engine or an installed server, by package of the gate."""
