"""One protocol, several engines: see `base`."""
