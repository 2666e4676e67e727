"""A scenario becomes a plan that this machine can make, or is refused."""
