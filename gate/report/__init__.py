"""Read, write, seal, merge and compare reports."""
