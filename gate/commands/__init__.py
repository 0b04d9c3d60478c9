"""Define the subcommands: one module each, with `SUMMARY`, `add_arguments(parser)` and `run(options)`."""
