"""Figures of tests: correlation over time, matrices with stars, groups, nulls."""
