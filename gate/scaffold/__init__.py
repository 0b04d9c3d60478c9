"""Scan a repository and write its first checklist and workflow (`prodgate init`)."""
