"""The exact-key benchmarks: what they match, who matches it, and how they are timed."""
