"""Formats on disk: codecs, decimals, HDF5, manifests, ragged arrays."""
