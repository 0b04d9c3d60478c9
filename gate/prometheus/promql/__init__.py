"""Parse PromQL as Prometheus itself does: tokens, syntax and types, by version and feature flags."""
