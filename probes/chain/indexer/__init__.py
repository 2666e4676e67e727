"""What indexes a chain: asked, read, judged."""
