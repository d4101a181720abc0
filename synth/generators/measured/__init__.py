"""Captions and queries read off the pixels: no model, no weights, every statement measured."""
