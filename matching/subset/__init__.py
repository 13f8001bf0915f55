"""Which records sum up to an amount: a search on integers, and the passes that use it."""
