"""Decode untrusted YAML and text into typed values and collect every validation error."""
