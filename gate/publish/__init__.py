"""Publish the verdict to GitHub: outputs, job summary, annotations, status and comment. Cannot change a verdict."""
