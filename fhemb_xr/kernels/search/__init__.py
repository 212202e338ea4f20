"""Search over specifications of an embedding: summaries, class means, nested folds."""
