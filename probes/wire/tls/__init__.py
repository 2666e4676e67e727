"""TLS: its settings, and what a peer showed of itself. Knows no connection and no HTTP."""
