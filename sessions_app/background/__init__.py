"""Turns that outlive a connection: followed and cancelled from any process."""
