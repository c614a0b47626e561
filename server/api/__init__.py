"""The web's side: JSON and event streams, who may come in, and how errors look."""
