"""Finds clips that show the same film, whatever was done to the file: keys, candidates, alignment, choice."""
