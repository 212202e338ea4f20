"""Breathing and pulse in the temperature of parts of the face."""
