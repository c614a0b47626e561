"""Editing a reading's words: form, result, routes."""
