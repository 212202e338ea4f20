"""Single frames: packing, resizing, features, moments."""
