"""Tests mirror server/ and frontend/; tests/browser drives a real browser."""
