"""Figures of pairs: relations and their trees, lagged correlation, warping."""
