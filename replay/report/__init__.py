"""A recording for people: transcript, soundtrack, listing, picture, scenario."""
