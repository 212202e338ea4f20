"""What a viewer holds: series read piece by piece, decoded faces, the marks of readers."""
