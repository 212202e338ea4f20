"""Clusters, trees and maps of a distance matrix."""
