"""The keys of an HTTP check: what is asked, how it travels, and what its answer should be."""
