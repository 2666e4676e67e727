"""How bytes reach a target: the connection itself, and protocols that are one file; knows no kind.

Larger protocols have rooms of their own. Below the connection: `tls`. Above it: `dialog`, `icmp`,
`postgres`, `ssh` and `http`. Above that: `dns`, `grpc`, `oauth2`, `websocket`; on top `http_check`.
"""
