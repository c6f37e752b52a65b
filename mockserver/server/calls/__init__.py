"""Calls: sessions whose sound is a track beside their events, with any number of event channels."""
