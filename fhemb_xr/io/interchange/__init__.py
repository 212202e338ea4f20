"""To and from the formats of other tools: spans, data frames, MNE, BIDS."""
