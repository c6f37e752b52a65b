"""The mock as an HTTP and WebSocket server, and its control plane."""
