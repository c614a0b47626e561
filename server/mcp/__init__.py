"""The explorer for agents: a Model Context Protocol server on the services of the JSON API."""
