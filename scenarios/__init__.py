"""How much can it take: the journeys of a probe file, as load."""
