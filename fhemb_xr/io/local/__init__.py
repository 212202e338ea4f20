"""Local folders: atomic files, guarded reads, resumed computations."""
