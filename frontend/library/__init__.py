"""The lists of analyses, and the routes that change them."""
