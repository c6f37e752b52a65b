"""The terms in which the packages above talk: commands, facts, conversations, and the `Peer` seam. No I/O."""
