"""What other tools have recorded or described, taken over as a journey; see `exporter.intake`."""
