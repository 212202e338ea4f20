"""Figures of correlated components."""
