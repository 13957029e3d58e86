"""Results as tables: on the console, and in files."""
