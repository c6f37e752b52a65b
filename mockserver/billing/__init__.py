"""What a session costs: quantities counted, and dated price tables."""
