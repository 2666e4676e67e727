"""Where load may go: names and addresses, judged before a run and at each connection."""
