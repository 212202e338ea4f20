"""States that people pass through, in one order."""
