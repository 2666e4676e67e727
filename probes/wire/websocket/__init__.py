"""Websockets: the upgrade, frames, a connection, and who listens on one for long."""
