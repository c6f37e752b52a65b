"""Traces of OpenTelemetry: what happens in a session, the spans for it, and where they go."""
