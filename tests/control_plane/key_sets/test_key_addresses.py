"""Where keys are fetched from, and what is never asked for them."""

from __future__ import annotations

import pytest

from tulle.control_plane.key_sets.addresses import Place, Refused, allowed, place_of

PRIVATE = [
    "127.0.0.1",
    "127.64.0.1",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",  # metadata of most clouds
    "168.63.129.16",  # of Azure
    "100.100.100.200",  # of Alibaba, in carrier-grade NAT
    "100.64.0.1",
    "192.0.0.192",  # of Oracle
    "192.0.2.1",
    "198.18.0.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd00:ec2::254",  # of Amazon
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "2002:7f00:1::",  # 6to4 of 127.0.0.1
    "2002:a9fe:a9fe::",
    "64:ff9b::7f00:1",  # NAT64 of 127.0.0.1
    "64:ff9b::a9fe:a9fe",
    "2001:0:1:1:1:1:80ff:fffe",  # Teredo of 127.0.0.1
    "no address",
]
PUBLIC = ["8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_public_is_never_asked(address: str) -> None:
    with pytest.raises(Refused, match="no public address"):
        allowed(()).check("idp.example", [address])
    with pytest.raises(Refused, match="no public address"):  # one of several is enough
        allowed(()).check("idp.example", ["8.8.8.8", address])


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public_is_asked(address: str) -> None:
    allowed(()).check("idp.example", [address])


def test_a_host_without_an_address_is_not_asked() -> None:
    with pytest.raises(Refused, match="has no address"):
        allowed(["idp.example"]).check("idp.example", [])


def test_hosts_addresses_and_networks_may_be_allowed() -> None:
    also = allowed(["IDP.internal", "10.1.0.0/16", "127.0.0.1", "fd00::/8"])
    also.check("idp.internal", ["192.168.0.7"])
    for address in ("10.1.2.3", "127.0.0.1", "fd00::7"):
        also.check("other.internal", [address])
    for address in ("10.2.0.1", "127.0.0.2", "fe80::1", "::ffff:127.0.0.1"):
        with pytest.raises(Refused):
            also.check("other.internal", [address])


@pytest.mark.parametrize("word", ["", "10.1.0.1/16", "http://idp", "idp:80", "a b", "*.internal", "1.2.3"])
def test_what_is_neither_host_nor_network_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match="is no host"):
        allowed([word])


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "idp.example/jwks",
        "file:///etc/passwd",
        "ftp://idp.example/",
        "gopher://idp.example/",
        "https:///jwks",
        "https://user@idp.example/",
        "https://user:word@idp.example/",
        "https://good.example@127.0.0.1/",
        "https://idp.example:0x50/",
        "https://idp.example:99999/",
        "https://idp.example/a b",
        "https://idp.example/\r\nHost: other",
        "https://idp.example\\@127.0.0.1/ä",
        "https://ïdp.example/",
        "https://[fe80::1%25eth0]/",
        "https://127%2e0.0.1/",
    ],
)
def test_a_uri_that_is_not_plain_is_refused(uri: str) -> None:
    with pytest.raises(Refused):
        place_of(uri)


def test_what_a_uri_says() -> None:
    assert place_of("https://IDP.example./keys?v=1#part") == Place(True, "idp.example", 443, "/keys?v=1")
    assert place_of("http://[::1]:8080").authority == "[::1]:8080"
    assert place_of("http://idp.example:80/").authority == "idp.example"
