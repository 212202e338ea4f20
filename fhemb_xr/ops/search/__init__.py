"""Search over specifications of an embedding, and what carries its best score."""
