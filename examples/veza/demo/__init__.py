"""The example as processes on one machine: what `make demo` runs."""
