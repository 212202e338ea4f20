"""Components that a group of people shares."""
