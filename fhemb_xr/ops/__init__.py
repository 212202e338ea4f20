"""Lazy xarray functions over the kernels. Nothing here computes."""
