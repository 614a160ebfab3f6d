"""Topologies as rules: who may talk to whom, and who assigns."""
