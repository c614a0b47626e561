"""The HTML side: thin routes, one context dataclass per template, and the words and curves they show."""
