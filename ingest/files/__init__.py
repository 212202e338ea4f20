"""Files that hold frames: each opened file is a mapping of names to arrays."""
