"""The pages of pairs: which there are, and what is known of each."""
