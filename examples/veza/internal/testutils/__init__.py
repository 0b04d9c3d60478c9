"""What only tests use."""
