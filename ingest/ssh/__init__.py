"""Tunnels through the program ssh or sshtunnel, and their keys."""
