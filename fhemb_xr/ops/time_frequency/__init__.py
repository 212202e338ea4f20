"""Bands, coefficients and spectra along time."""
