"""Memory of a training before it runs."""
