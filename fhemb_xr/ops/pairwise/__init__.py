"""How alike two series are: matrices, lags, warping paths, nearest neighbours."""
