"""Runs on demand, as blackbox_exporter has them: what ``/probe`` asks for, and what it gets."""
