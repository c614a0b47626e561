"""The page of one analysis: its text, its panel, its export."""
