"""Causal scores on the page: of one reading, and of the whole text."""
