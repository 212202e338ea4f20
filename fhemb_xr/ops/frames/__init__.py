"""Single frames: selection, masks, resizing, features, moments."""
