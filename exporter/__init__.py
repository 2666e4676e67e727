"""For ever, and tell everybody: schedule, metrics, web, command line."""
