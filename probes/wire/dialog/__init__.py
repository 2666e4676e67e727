"""Dialogs by lines: steps that expect and send, STARTTLS, and what their kinds share."""
