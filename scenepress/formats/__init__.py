"""Other people's files: one module per format, and one table of them (table.py)."""
