"""Components that a group of series shares."""
