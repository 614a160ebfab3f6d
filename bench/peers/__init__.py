"""Peers: what a user would pick otherwise, set up to be as durable as we are and as fast as they
go."""
