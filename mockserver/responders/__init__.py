"""What to answer: a scenario, a recording, or the words that were said."""
