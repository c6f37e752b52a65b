"""Voice activity detection: where spoken turns begin and end."""
