"""What a journey may say: expressions, values taken out of answers, expectations. Pure."""
