"""SSH up to the host's proof of its key. Knows no user and no command."""
