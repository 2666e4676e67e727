"""The probe file becomes typed, frozen probes, or every mistake at once with its place."""
