"""Eigenfaces: one module for each method."""
