"""Stand-ins of the five platforms that examples/ is written for."""
