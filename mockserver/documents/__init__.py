"""YAML and JSON files that know their lines, and their validation."""
