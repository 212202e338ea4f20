"""Checksums, damage, verification and repair of stores."""
