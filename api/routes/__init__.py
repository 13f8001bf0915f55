"""One noun a module, with its wire types."""
