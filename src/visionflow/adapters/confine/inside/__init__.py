"""What runs beside and inside the confined command: standard library only, started by path.

These modules are imported both by the launcher process, which has no site packages, and by the
sandbox, which reads their constants. They import nothing of VisionFlow but each other.
"""
