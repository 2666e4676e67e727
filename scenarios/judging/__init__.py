"""What a run proves: thresholds, rules of every run, earlier runs, the verdict."""
