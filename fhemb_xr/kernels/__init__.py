"""Arithmetic: numpy in, numpy out, the core axis last. No xarray, no dask, no files."""
