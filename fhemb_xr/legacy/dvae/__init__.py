"""The denoising classifier, by the original's path."""
