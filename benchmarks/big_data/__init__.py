"""Databases as large as a busy installation's after months, for benchmarks and for tests."""
