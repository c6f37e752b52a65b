"""Calls to a realtime voice service, for an agent of any kind."""
