"""Coding agents as candidates: what each attempt came to, how it was judged, which one won."""
