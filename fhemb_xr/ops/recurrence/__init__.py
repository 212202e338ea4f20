"""When states come back: recurrence quantification."""
