"""Read the formats of Prometheus (expositions, rule files, configuration, templates) and call its HTTP API."""
