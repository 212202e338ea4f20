"""Measures between two series, and scales of the matrix that they make."""
