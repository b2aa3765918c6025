"""Programs over the library."""
