"""The rules that findings come from, by subject."""
