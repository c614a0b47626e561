"""Notebooks: findings with their names and notes, collected, kept and published."""
