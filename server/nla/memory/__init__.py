"""What a pair needs, what the machine has, and where its models go: decided before anything is downloaded or loaded."""
