"""Remove secrets from text, report data and the standard streams."""
