"""Measures Salient against a bare ceiling and against a peer, on one machine and in one go."""
