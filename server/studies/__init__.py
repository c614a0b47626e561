"""Studies: many analyses of prompts that one declaration draws, and statistics over their readings."""
