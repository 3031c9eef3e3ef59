"""A port for a server that is killed and started again; used by the scenarios and by the tests of the running server."""
import random
import socket


def free_port():
    """Below those that the kernel gives to connections: one of a client that tries again could get it while the server is down."""
    while True:
        port = random.SystemRandom().randrange(20000, 32768)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
