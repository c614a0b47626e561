"""nla-explorer: what each activation of a language model says, token by token."""

__version__ = "0.1.0"
