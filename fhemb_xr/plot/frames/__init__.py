"""Figures of frames: faces, films, histograms, distributions."""
