"""Read what a repository says about its services: one module per kind of source."""
