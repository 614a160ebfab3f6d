"""The demonstration: a sample project with planted faults, and what a run finds of them.

The sample is package data under `sample`; `faults.toml` there says what is planted. Nothing here
prints: that is the command's.
"""
