"""Segments of trajectories, and classifiers scored on people never seen."""
