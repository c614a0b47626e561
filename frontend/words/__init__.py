"""The page of a word: how likely every layer finds it along the text, and which readings mention it."""
