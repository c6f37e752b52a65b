"""The cost of a recorded call: a bill afterwards, and a meter during the call."""
