"""xAI's Grok Voice Agent API on the wire."""
