"""Other ways to run the same passes: the outcome is the same, what they need differs."""
