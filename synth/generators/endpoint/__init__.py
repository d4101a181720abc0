"""Generators behind an OpenAI-compatible endpoint: request bodies, flow control, checks and repair."""
