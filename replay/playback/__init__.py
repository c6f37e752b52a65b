"""Playing a cassette: as the service, frame by frame, or as the client."""
