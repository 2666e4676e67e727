"""Chains: which endpoint of a group may be trusted right now."""
