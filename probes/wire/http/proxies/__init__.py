"""Proxies: which requests go through which one, and the way through it."""
