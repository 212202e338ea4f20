"""Wavelets along time, whole, in blocks and over gaps."""
