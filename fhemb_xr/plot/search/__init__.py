"""Figures of searches over embeddings, and of what carries a score."""
