"""Figures of small, loaded results."""
