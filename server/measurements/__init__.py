"""Measurements of an analysis: causal scores of its readings, each beside the nulls that could refute it."""
