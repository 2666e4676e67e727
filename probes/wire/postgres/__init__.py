"""PostgreSQL: the login, answers in plain values, and what is expected of them."""
