"""Heart beats, the pulse in a face, and scores of face and heart pairs."""
