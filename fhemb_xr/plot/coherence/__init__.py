"""Coherence and phase locking of pairs."""
