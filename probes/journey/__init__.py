"""Journeys: the steps of a user, written once, played by a check and by a load."""
