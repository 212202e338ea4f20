"""What a notebook shows: figures and films that ask the network for nothing, with a picture."""
