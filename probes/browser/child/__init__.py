"""The process that holds Chromium: Playwright lives here and nowhere else."""
