"""The merge queue: work of several agents brought onto one branch, held to a predicate."""
