"""A connected socket for a client that does not wait: TCP, and TLS where it is asked for."""

import asyncio
import socket
import ssl

_EACH_S = 3.0  # for one of several addresses; the last one has what is left of the caller's time


async def dial(host: str, port: int, tls: ssl.SSLContext | None) -> socket.socket:
    """Try the addresses of a host in turn.

    Raises OSError, of which a certificate that is not trusted is one.
    """
    loop = asyncio.get_running_loop()
    dialled = await _connect(loop, host, port)
    try:
        if tls is not None:
            dialled = tls.wrap_socket(dialled, server_hostname=host, do_handshake_on_connect=False)
            await _shake_hands(loop, dialled)
    except BaseException:
        dialled.close()
        raise
    return dialled


async def _connect(loop: asyncio.AbstractEventLoop, host: str, port: int) -> socket.socket:
    """A name may have addresses that nobody listens on, as localhost has ::1."""
    *others, last = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for family, kind, protocol, _, address in others:
        try:
            async with asyncio.timeout(_EACH_S):
                return await _connect_to(loop, socket.socket(family, kind, protocol), address)
        except OSError:  # a TimeoutError is one
            continue
    family, kind, protocol, _, address = last
    return await _connect_to(loop, socket.socket(family, kind, protocol), address)


async def _connect_to(
    loop: asyncio.AbstractEventLoop, dialled: socket.socket, address: tuple[object, ...]
) -> socket.socket:
    try:
        dialled.setblocking(False)
        dialled.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await loop.sock_connect(dialled, address)
    except BaseException:
        dialled.close()
        raise
    return dialled


async def _shake_hands(loop: asyncio.AbstractEventLoop, dialled: ssl.SSLSocket) -> None:
    while True:
        try:
            dialled.do_handshake()
        except ssl.SSLWantReadError:
            add, remove = loop.add_reader, loop.remove_reader
        except ssl.SSLWantWriteError:
            add, remove = loop.add_writer, loop.remove_writer
        else:
            return
        ready = loop.create_future()
        add(dialled, _set, ready)
        try:
            await ready
        finally:
            remove(dialled)


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def read_ahead(connected: object) -> bool:
    """Whether something was decrypted already: the loop does not wake up for that."""
    return isinstance(connected, ssl.SSLSocket) and connected.pending() > 0
