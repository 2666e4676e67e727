"""Files for the tools around the prober, made of the config: pure functions from Config to text."""
