"""What the table says in words: its headings, and notes. A cell that says no needs a note, of its own or of its kind."""

SECTIONS = {
    "http_clients": "HTTP clients in Python",
    "grpc_clients": "gRPC",
    "tcp_clients": "Protocols that are not HTTP",
    "other_programs": "Other programs",
    "processes": "Threads and processes",
    "worker_pools": "Servers whose workers call",
    "sockets": "Sockets by hand",
    "streams": "Streams of HTTP",
    "names": "Names and addresses",
}

_UNHEEDED = "It does not heed the proxy variables."
_OWN_LOCALHOST = "Its loopback addresses are those of its own network namespace."

_UNCONNECTED = "Its questions go out over a socket that is not connected, which this mode does not see."

_NO_NEW_PRIVS = "The filter that it runs under goes with `no_new_privs`."

NOTES = {
    ("requests with `trust_env = False`", "proxy"): "It is told not to heed the proxy variables. Leave that out.",
    ("aiohttp with `trust_env=False`", "proxy"): "It is told not to heed the proxy variables. Leave that out.",
    ("aiohttp", "proxy"): "By the shim, as aiohttp does not heed the variables of its own accord.",
    ("aiohttp on uvloop", "proxy"): "By the shim, as aiohttp does not heed the variables of its own accord.",
    ("a websocket (aiohttp)", "proxy"): "By the shim, as aiohttp does not heed the variables of its own accord.",
    ("urllib3 `PoolManager`", "proxy"): f'{_UNHEEDED} Use `urllib3.ProxyManager(os.environ["http_proxy"])`.',
    ("http.client", "proxy"): f"{_UNHEEDED} Use `urllib.request`.",
    **{
        (client, "proxy"): "By a tunnel (CONNECT) through the proxy; its calls are balanced one by one all the same."
        for client in ("grpcio", "grpcio, streaming", "grpcio, `grpc.aio`", "grpcio, `grpc.aio`, streaming")
    },
    ("tcp_clients", "proxy"): "What is not HTTP is not sent to a proxy, and the name is not resolved.",
    ("celery with Redis", "proxy"): "What is not HTTP is not sent to a proxy, and the name is not resolved.",
    ("other_programs", "proxy"): _UNHEEDED,
    ("set-user-id programs have their rights (sudo)", "seccomp"): _NO_NEW_PRIVS,
    ("set-user-id programs have their rights (sudo)", "netns"): _NO_NEW_PRIVS,
    ("a static musl binary", "seccomp"): _UNCONNECTED,
    ("a resolver of its own that does not connect its socket (dnspython)", "seccomp"): _UNCONNECTED,
    ("a command with an empty environment", "proxy"): "The variables are gone.",
    ("sockets", "proxy"): "The program's own connections are left alone, and services' names are not resolved.",
    ("names", "proxy"): "The program's own connections are left alone, and services' names are not resolved.",
    ("a server on `localhost` outside of the mesh", "netns"): _OWN_LOCALHOST,
    ("another loopback address outside of the mesh", "netns"): _OWN_LOCALHOST,
    ("the machine's IPv6 loopback, `::1`", "netns"): _OWN_LOCALHOST,
    ("UDP to an address outside of the mesh", "netns"): "UDP other than DNS has no way out of the namespace.",
}
