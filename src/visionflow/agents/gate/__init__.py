"""The gate: what a change brings that was not there before. Pure comparing and writing down.

`judging` compares findings, `suites` test runs, `covering` the lines that ran; `baseline` reads
and writes what is accepted; `results` is the value of it all, and `shown`, `machine` write it.
Git, the sandbox and files are `visionflow.compose.gate`.
"""
