"""Linear models of what a stimulus does to a series, after a delay."""
