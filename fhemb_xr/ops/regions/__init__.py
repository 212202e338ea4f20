"""Parts of the face, frame by frame."""
