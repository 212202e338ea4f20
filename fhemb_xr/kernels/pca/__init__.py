"""Eigenfaces: covariance, randomised, robust and kernel methods."""
