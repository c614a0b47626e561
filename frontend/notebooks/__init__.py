"""Notebooks: the list, one of them, what is put into it, and the file that publishes it."""
