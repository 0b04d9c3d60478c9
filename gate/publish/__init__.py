"""Tells the world: outputs, annotations, status and comment. Cannot change a verdict."""
