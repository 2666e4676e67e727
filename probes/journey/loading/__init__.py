"""What a file says of a journey becomes steps, or mistakes with their places."""
