"""JSON-RPC in the guide's dialect: lines over TCP and a unix socket, and `POST /` on that port."""
