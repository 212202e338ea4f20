"""Rates of breathing and of the pulse, with what noise would give."""
