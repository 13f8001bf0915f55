"""From two frames alone: which columns are keys, which say the same, and by which rules they agree."""
