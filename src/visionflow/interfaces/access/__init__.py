"""Who may call: tokens, the other end of a connection, headers of web pages, limits, the gate."""
