"""What the tests run against, for real: a Docker engine, images, PostgreSQL, Redis, Prometheus."""
