"""The layers' curve, the lens map, and its table."""
