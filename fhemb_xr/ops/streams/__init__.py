"""Feature streams: splits, normalisation, inspection, windows for training."""
