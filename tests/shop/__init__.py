"""A shop to be checked, and to be broken on purpose: ``python -m tests.shop``, ``make demo``."""
