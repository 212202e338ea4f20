"""Figures of hearts paired with faces."""
