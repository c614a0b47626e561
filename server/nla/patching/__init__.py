"""Changes of the residual stream, and the target run with them."""
