"""The children of a run: started, heard, watched, added up; nothing is left of them."""
