"""OpenAI's Realtime API on the wire."""
