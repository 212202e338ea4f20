"""From PostgreSQL to a recording: plan, read, write, verify."""
