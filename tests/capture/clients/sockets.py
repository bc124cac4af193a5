"""Sockets by hand: what a program does that needs no library."""

import asyncio
import select
import socket

from trying import HOST, Untried, exchange, from_b, received, run, same

REQUEST = b"GET /data HTTP/1.1\r\nHost: service-b\r\nConnection: close\r\n\r\n"


def vip():
    return socket.gethostbyname(HOST)


def by_select():
    with socket.socket() as connection:
        connection.setblocking(False)
        connection.connect_ex((vip(), 80))
        same(select.select([], [connection], [], 30)[1], [connection])
        same(connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), 0)
        connection.setblocking(True)
        connection.settimeout(30)
        connection.sendall(REQUEST)
        from_b(received(connection))


def by_epoll():
    """Waited for from before the connection is begun, as event loops of C may do."""
    with socket.socket() as connection, select.epoll() as waiting:
        connection.setblocking(False)
        waiting.register(connection, select.EPOLLOUT | select.EPOLLIN | select.EPOLLET)
        connection.connect_ex((vip(), 80))
        while not connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            if any(event & select.EPOLLOUT and not event & select.EPOLLHUP for _, event in waiting.poll(30)):
                break
        connection.setblocking(True)
        connection.settimeout(30)
        connection.sendall(REQUEST)
        from_b(received(connection))


def by_asyncio():
    async def main():
        reader, writer = await asyncio.open_connection(HOST, 80)
        writer.write(REQUEST)
        from_b((await reader.read()).partition(b"\r\n\r\n")[2])
        writer.close()
        await writer.wait_closed()

    asyncio.run(main())


def by_ipv6_socket():
    if not socket.has_dualstack_ipv6():
        raise Untried("the machine has no IPv6")
    connection = socket.socket(socket.AF_INET6)
    connection.settimeout(30)
    connection.connect((f"::ffff:{vip()}", 80))
    from_b(exchange(connection))


run(
    {
        "non-blocking connect, `select`": by_select,
        "non-blocking connect, edge-triggered `epoll`": by_epoll,
        "non-blocking connect, asyncio": by_asyncio,
        "an IPv6 socket, by the v4-mapped address": by_ipv6_socket,
    }
)
