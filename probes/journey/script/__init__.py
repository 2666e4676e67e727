"""Journeys in Python, for what steps in YAML cannot say; each play in a child of its own."""
