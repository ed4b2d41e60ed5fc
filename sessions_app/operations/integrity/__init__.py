"""Finds rows, figures, files and keys that contradict one another, and repairs what is safe."""
