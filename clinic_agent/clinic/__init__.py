"""The clinic: its services, schedule, tools and assistant."""
