"""What is told of a run: one projection of its facts, and how each face shows it."""
