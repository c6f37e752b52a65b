"""The state machine of one realtime conversation, without I/O."""
