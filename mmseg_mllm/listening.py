"""An address of this machine to serve at."""

import socket

from mmseg_mllm.errors import ConfigError


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; what can't is told at once, before a model is loaded.

    Args:
        host: Name or address of this machine; '0.0.0.0' for all of its addresses.
        port: 0 for any free one.

    Raises:
        ConfigError: nothing can listen there.
    """
    try:
        family, kind, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(place)
            listening.listen()
        except OSError:
            listening.close()
            raise
    except OSError as error:
        where = f"{host}, port {port}" if port else host
        raise ConfigError(
            f"can't listen on {where} ({error.strerror}); give another --host or --port"
        ) from None
    return listening
