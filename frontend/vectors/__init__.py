"""Vectors under addresses of their own: the list, the page of one, and keeping a token's activation."""
