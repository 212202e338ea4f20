"""Where the parts of a face are: registration, and a face to register to."""
