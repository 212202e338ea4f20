"""Temperatures packed to 16 bits, as they are or as differences from frame to frame."""
