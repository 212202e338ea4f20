"""Heart beats, alignment of traces, and hearts paired with faces."""
