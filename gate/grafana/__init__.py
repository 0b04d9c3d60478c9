"""Read Grafana dashboards: their queries, variables and data sources, and where each query stands in its file."""
