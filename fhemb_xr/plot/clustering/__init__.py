"""Figures of groups: people as points, silhouettes, accuracies."""
