"""A journey as a generator of requests: the interpreter, without I/O."""
