"""Recordings for people: listing, transcript, soundtrack, picture, scenario."""
