"""What is counted and shown of a group."""
