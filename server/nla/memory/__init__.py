"""Memory plan: the requirements of a pair and the devices of its models, decided before anything is downloaded."""
