"""Pings: packets as bytes, and the socket that they leave by."""
