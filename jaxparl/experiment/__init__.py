"""A run on disk: what was asked for, its stages, the folder they leave, and its figures."""
