"""The commands that record, show, compare and convert cassettes."""
