"""Surrogates, p-values, inter-subject correlation, cross-validation."""
