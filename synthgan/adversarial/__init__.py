"""Fits against a critic: rows of tables, and images."""
