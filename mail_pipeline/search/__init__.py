"""Words in subjects and bodies: an index beside the lake, what brings it up to date, and how SQL asks it."""
