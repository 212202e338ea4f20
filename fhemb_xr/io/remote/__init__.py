"""Stores that are no folder: object stores, memory, zip files, any Zarr store."""
