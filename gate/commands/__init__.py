"""The subcommands: one module each, with SUMMARY, arguments(parser) and main(arguments)."""
