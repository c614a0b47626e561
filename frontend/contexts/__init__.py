"""What each template may use: one dataclass a page, and one for every fragment inside it."""
