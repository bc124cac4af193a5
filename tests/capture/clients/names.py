"""How names are resolved, and that each port of a service is its own."""

import ipaddress
import socket
import struct
import subprocess
import sys

import requests

from trying import HOST, SETTINGS, URL, Untried, command, connected, exchange, from_b, run, same

MESH = ipaddress.ip_network("127.64.0.0/10")


def addresses(host, family=socket.AF_UNSPEC, flags=0):
    return {entry[4][0] for entry in socket.getaddrinfo(host, 80, family, socket.SOCK_STREAM, flags=flags)}


def in_the_mesh(found):
    same([ipaddress.ip_address(address) in MESH for address in found], [True])


def every_name():
    found = [addresses(name) for name in (HOST, f"{HOST}.default", f"{HOST}.default.svc.cluster.local")]
    in_the_mesh(found[0])
    same(found, [found[0]] * 3)


def without_ipv6():
    """A question for AAAA is answered at once, with nothing; who insists on IPv6 is told so."""
    in_the_mesh(addresses(HOST, socket.AF_UNSPEC))
    try:
        found = addresses(HOST, socket.AF_INET6)
    except socket.gaierror:
        [mapped] = addresses(HOST, socket.AF_INET6, socket.AI_V4MAPPED)
        in_the_mesh({mapped.removeprefix("::ffff:")})
        return
    raise AssertionError(f"{found}")


def by_tcp():
    words = f"import socket; print(socket.gethostbyname('{HOST}'))"
    found = command(sys.executable, "-c", words, RES_OPTIONS="ndots:0 use-vc").decode().strip()
    in_the_mesh({found})


def by_a_resolver_of_its_own():
    """A question by sendto(2) to the nameserver of resolv.conf, as dnspython and musl ask."""
    with open("/etc/resolv.conf") as file:
        [nameserver, *_] = [line.split()[1] for line in file if line.startswith("nameserver")]
    name = b"".join(bytes([len(label)]) + label.encode() for label in f"{HOST}.default".split("."))
    with socket.socket(type=socket.SOCK_DGRAM) as asking:
        asking.settimeout(10)
        asking.sendto(
            struct.pack("!6H", 4711, 0x0100, 1, 0, 0, 0) + name + b"\0" + struct.pack("!2H", 1, 1), (nameserver, 53)
        )
        answer, asked = asking.recvfrom(512)
    same(asked, (nameserver, 53))
    same(answer[6:8], b"\0\1")
    in_the_mesh({socket.inet_ntoa(answer[-4:])})


def curl_by_ipv6():
    command("curl", "--version")
    done = subprocess.run(["curl", "-6", "-sS", "-m", "30", URL], capture_output=True)
    if done.returncode not in (6, 7):  # no such host, no connection
        raise AssertionError(f"exit code {done.returncode}: {done.stderr}")


def port_by_port():
    for url, instance in (("http://service-b", "b-80"), ("http://service-b:8080", "b-8080")):
        from_b(requests.get(f"{url}/data", timeout=30).content, instance)


def at(host, port=0):
    """What the server answers that is outside of the mesh."""
    if port is None:
        raise Untried("the machine has no IPv6")
    same(exchange(connected(port or SETTINGS["outside_port"], host), "outside"), b"outside")


def private(call):
    """A test of names that only a machine of our own has."""
    if not SETTINGS["private"]:
        raise Untried("no mount namespace of our own can be had here")
    call()


def outside_name():
    same(addresses("outside.test", socket.AF_INET), {SETTINGS["outside_test"]})
    same(addresses("six.outside.test"), {"::1"})


def unknown_name():
    for name in ("nobody", "nobody.outside.test"):
        try:
            found = addresses(name)
        except socket.gaierror:
            continue
        raise AssertionError(f"{name} is {found}")


def by_hosts():
    same(addresses("pinned"), {SETTINGS["outside"]})
    same(addresses("streams.default"), {SETTINGS["outside"]})  # also a name of the mesh


def by_search_domain():
    same(addresses("intranet"), {SETTINGS["outside"]})


def before_a_search_domain():
    same(addresses("streams.corp.test"), {SETTINGS["outside"]})
    in_the_mesh(addresses("streams"))


def by_http():
    url = f"http://outside.test:{SETTINGS['outside_port']}/"
    same(requests.get(url, timeout=30).content, b"outside")


def at_own_address():
    """Of the machine, but not its loopback."""
    if (address := SETTINGS["own_address"]) is None:
        raise Untried("the machine has no other address than its loopback's")
    at(address)


def own_localhost():
    """A server of the same program."""
    with socket.create_server(("127.0.0.1", 0)) as server, connected(server.getsockname()[1], "127.0.0.1") as one:
        other, _ = server.accept()
        with other:
            other.sendall(b"hello")
            same(one.recv(5), b"hello")


def datagram():
    """To a server outside of the mesh, which echoes it."""
    with socket.socket(type=socket.SOCK_DGRAM) as asking:
        asking.settimeout(5)
        asking.sendto(b"hello", (SETTINGS["outside"], SETTINGS["outside_port"]))
        same(asking.recv(100), b"hello")


def datagram_to_a_service():
    """As QUIC would begin: a client must see at once that it has to take TCP."""
    with socket.socket(type=socket.SOCK_DGRAM) as asking:
        asking.settimeout(5)
        address = socket.gethostbyname(HOST)
        try:
            asking.connect((address, 443))
            asking.send(b"hello")
            asking.recv(100)
        except ConnectionRefusedError:
            return
    raise AssertionError("an answer")


run(
    {
        "all names of a service": every_name,
        "`getaddrinfo` for A and AAAA": without_ipv6,
        "DNS by TCP (`RES_OPTIONS=use-vc`)": by_tcp,
        "a resolver of its own that does not connect its socket (dnspython)": by_a_resolver_of_its_own,
        "`curl -6` fails cleanly": curl_by_ipv6,
        "the right one of a service's ports": port_by_port,
        "`/etc/hosts` comes first": lambda: private(by_hosts),
        "search domains": lambda: private(by_search_domain),
        "a service before a host of a search domain": lambda: private(before_a_search_domain),
        "names outside of the mesh": lambda: private(outside_name),
        "HTTP to a name outside of the mesh": lambda: private(by_http),
        "a name that nobody knows is not found": lambda: private(unknown_name),
        "the program's own `localhost`": own_localhost,
        "a server on `localhost` outside of the mesh": lambda: at("localhost"),
        "another loopback address outside of the mesh": lambda: at(SETTINGS["outside"]),
        "an address that is not loopback": at_own_address,
        "the machine's IPv6 loopback, `::1`": lambda: at("::1", SETTINGS["outside_port6"]),
        "UDP to an address outside of the mesh": datagram,
        "UDP (QUIC) to a service is refused at once": datagram_to_a_service,
    }
)
