"""Measurements, each beside what a user would pick otherwise; `python -m bench` runs them.

Nothing here is a test: figures move with the machine and its neighbours, ratios less so.
"""
