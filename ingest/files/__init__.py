"""Readers of files of frames; an open file is a mapping of names to arrays."""
