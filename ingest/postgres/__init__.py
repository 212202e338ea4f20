"""PostgreSQL and TimescaleDB: connections, layouts, binary COPY, an embedded server."""
