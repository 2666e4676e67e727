"""What an answer of a node is, and what it says."""
