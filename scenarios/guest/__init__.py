"""A worker of a run that another machine leads: what it agrees to, and the child that plays it."""
