"""Translate messages, numbers and dates into the language of a report."""
