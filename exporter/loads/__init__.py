"""Load runs inside of the service: when they are due, and what Prometheus sees of them."""
