"""Recorded conversations: what crosses the wire, and how two compare. It knows neither the mock nor an agent."""
