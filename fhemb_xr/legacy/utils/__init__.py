"""Factories, classifiers, figures and films, by the original's paths."""
