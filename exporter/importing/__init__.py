"""What other tools have recorded or described, taken over; see `exporter.commands.intake`."""
