"""States that people pass through, and when one gives way to the next."""
