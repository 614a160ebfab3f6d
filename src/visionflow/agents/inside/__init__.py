"""Programs that run confined, each by its file and without the rest of VisionFlow.

They are started as `python -I FILE`, import nothing of ours, and answer in JSON. Whoever starts
one stands in `agents.tools` or `agents.study`.
"""
