"""DNS by hand: questions, answers, what is expected of them, and signatures. Knows no kind."""
