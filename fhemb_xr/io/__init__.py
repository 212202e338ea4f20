"""Stores: how recordings and results lie on disk, and the only writer."""
