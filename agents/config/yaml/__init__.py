"""Reads and writes the YAML of configuration files, with the line of each error."""
