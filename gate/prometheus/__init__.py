"""The formats of Prometheus (expositions, rule files, configuration, templates) and its HTTP API."""
