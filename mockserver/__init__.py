"""The mock: a realtime voice service on this machine, from sockets down to the state machine. It knows no agent."""
