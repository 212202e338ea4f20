"""Pseudonyms, and erasure of a person."""
