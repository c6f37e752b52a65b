"""The agents that `realtape init` writes, one for each client and service."""
