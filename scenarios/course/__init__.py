"""One run from the first rail to the last file."""
