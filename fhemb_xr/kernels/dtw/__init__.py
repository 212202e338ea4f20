"""Dynamic time warping: distances, paths, constraints, nearest neighbours."""
