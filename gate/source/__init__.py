"""Locate functions in source code and sections in Markdown documents."""
