"""Tests of the action, its image and the publishers against a GitHub server."""
