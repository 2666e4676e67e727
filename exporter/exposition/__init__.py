"""What ``/metrics`` says: Results in, lines of families and pages of them out."""
