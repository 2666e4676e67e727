"""gRPC: a unary call as bytes, and that call over a connection of its own."""
