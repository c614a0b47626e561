"""Agreement of several readings of one token, on the page."""
