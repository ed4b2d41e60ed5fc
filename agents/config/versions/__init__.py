"""The configuration in force, its versions, and how one is published."""
