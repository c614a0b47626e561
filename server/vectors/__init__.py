"""Vectors under addresses of their own: made of activations or uploaded, read by the AV, patched in by edits."""
