"""Checks of a pair, each under a name: made on files and tokenizers, before a weight is loaded."""
