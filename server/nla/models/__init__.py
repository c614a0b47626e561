"""The loaded models of a pair: target, AR, and how they are loaded."""
