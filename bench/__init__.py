"""Benchmarks: each prints what the machine is worth beside its figures."""
