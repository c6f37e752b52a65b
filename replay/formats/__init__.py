"""Other tools' recordings as one neutral conversation: what was sent, what came, where the connection ended.

Not a cassette: there are no times, and frames are parsed JSON, not bytes. Each format is a module of its own.
"""
