"""What a recorded call cost, afterwards and while it goes on."""
