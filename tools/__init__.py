"""Tools for building and checking; nothing here is installed."""
