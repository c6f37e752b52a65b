"""A phone company's side of the bridges that people run: Twilio Media Streams and Plivo Audio Streams. No I/O."""
