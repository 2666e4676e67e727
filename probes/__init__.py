"""Is it working, now: check one thing, once."""
