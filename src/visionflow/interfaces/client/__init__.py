"""The client of a server: from other programs, over the line dialect of port 9500 or its socket.

`connection` speaks on one socket, `pool` keeps several and asks again, `calls` has the methods
that users see, `remote` is the fleet of a server as `AgentOrchestrator` hands it out.
"""
