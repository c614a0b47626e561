"""Two analyses beside each other."""
