"""Networks in torch; nothing here is imported before it is used."""
