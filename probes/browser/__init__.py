"""Browser journeys: a real Chromium in a process of its own, and whoever keeps it in bounds."""
