"""Faces cut out of films of whole scenes by a table of boxes."""
