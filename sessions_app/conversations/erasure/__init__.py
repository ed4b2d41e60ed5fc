"""Erasing a person: found, erased with what was copied, and looked for again afterwards."""
