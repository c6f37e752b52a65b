"""File formats: other tools' recordings in, HAR, JSON lines, WAV and HTML out. Each format is a module."""
