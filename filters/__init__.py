"""Judges content: each filter answers with the row or with the reason it was turned away."""
