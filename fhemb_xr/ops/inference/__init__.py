"""Surrogates, synchrony and inter-subject correlation, with p-values."""
