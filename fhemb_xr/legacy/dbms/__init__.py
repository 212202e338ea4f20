"""Faces of a recording, by the original's path."""
