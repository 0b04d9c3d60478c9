"""Read Alertmanager's configuration as Alertmanager does, route labels through it, and query a running one."""
