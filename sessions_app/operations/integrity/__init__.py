"""Finds rows, figures, files and keys that contradict one another, and mends what is safe."""
