"""Translate the inputs of the GitHub Action into command-line arguments."""
