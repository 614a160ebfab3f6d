"""The gate's hands: a stranger's git read as data, copies of both sides, tools and tests over them.

`sides` finds base and working tree, `disk` reads the latter, `checkout` lays out copies, `state` is
where all that lives, `running` does a whole gate. What the differences mean is
`visionflow.agents.gate`; nothing here prints.
"""
