"""The composer: its form, its examples, its routes."""
