"""What everything above speaks in: commands, facts, conversations, and the Peer seam. Values, without I/O."""
