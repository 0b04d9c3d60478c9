"""Send HTTP requests with one deadline per request and a bounded response."""
