"""PromQL as Prometheus itself parses it: tokens, syntax and types, for a version and its feature flags."""
