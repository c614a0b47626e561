"""Studies: listed, started, and each on a page of its own."""
