"""The judgement of a group: pure, state in and state out."""
