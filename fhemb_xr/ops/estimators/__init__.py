"""Fitted models of scikit-learn over whole recordings."""
