"""Addresses that somebody else sent."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit


def split(address: str) -> SplitResult | None:
    """The parts of an address; None of what is none, such as `http://[`."""
    try:
        return urlsplit(address)
    except ValueError:
        return None
