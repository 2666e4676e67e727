"""Load past one machine: a master that relays, workers that play, and what they say; load.md 8."""
