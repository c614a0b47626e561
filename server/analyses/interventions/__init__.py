"""Other words in the place of a reading, and what the model then says."""
