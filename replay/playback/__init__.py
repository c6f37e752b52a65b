"""Playing a recording: as the server, frame by frame, or as the client."""
