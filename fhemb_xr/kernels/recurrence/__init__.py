"""Recurrence: when states of series come back, and the lines that recurrences form."""
