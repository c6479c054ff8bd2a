"""Which addresses are of this machine.

Belongs here: what several clients of HTTP and mail must agree on. Does not: making connections.
"""

LOOPBACK = ("localhost", "127.0.0.1", "::1")
"""Hosts to which a secret may go without encryption, and for which no proxy is asked."""
