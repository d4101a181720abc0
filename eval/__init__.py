"""Scores an embedder: encoding, exact search, metrics, reports."""
