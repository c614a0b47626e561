"""What must hold of a pair, each check under a name: verified from files and tokenizers, before a weight is loaded."""
