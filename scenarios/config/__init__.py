"""What a probe file says of load: scenarios read, and judged at the load of the file."""
