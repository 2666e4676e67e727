"""What a `scenarios.report.LoadReport` becomes: JSON, JUnit, Markdown, a page, a text."""
