"""Tables of our own, in a network namespace of the test's own."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tulle.agent.capture import nftables
from tulle.agent.capture import nftables_expressions as expressions
from tulle.agent.capture.nftables import OwnedTable, Refused

SOURCES = str(Path(__file__).parents[3] / "src")


def connected(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def redirecting(table: OwnedTable, to: int, ports: list[int]) -> None:
    """Calls to any of `ports` end at the port `to`."""
    table.commit(
        nftables.named_set("ports", nftables.PORT),
        *nftables.elements("ports", [port.to_bytes(2, "big") for port in ports]),
        nftables.chain("calls", "nat", nftables.OUTPUT, -100),
        nftables.rule(
            "calls",
            "to the one that listens",
            expressions.tcp(),
            expressions.to_port_in("ports"),
            expressions.redirect_to(to),
        ),
    )


def test_a_redirection_holds_as_long_as_the_table_and_is_gone_with_it(
    network: Any, ruleset: Callable[[], bytes]
) -> None:
    def story() -> None:
        before = ruleset()
        with socket.create_server(("127.0.0.1", 0)) as server, OwnedTable("tulle-test") as table:
            redirecting(table, server.getsockname()[1], [81, 82])
            assert connected(81) and connected(82) and not connected(83)
            assert b"tulle-test" in ruleset() and b"to the one that listens" in ruleset()
        assert ruleset() == before == b""

    network.do(story)


def test_the_elements_of_a_set_are_replaced_while_it_is_in_use(network: Any) -> None:
    def story() -> None:
        with socket.create_server(("127.0.0.1", 0)) as server, OwnedTable("tulle-test") as table:
            redirecting(table, server.getsockname()[1], [81])
            table.commit(*nftables.replaced("ports", [(82).to_bytes(2, "big")]))
            assert connected(82) and not connected(81)
            table.commit(*nftables.replaced("ports", []))
            assert not connected(82)
            table.commit(*nftables.replaced("ports", [(81).to_bytes(2, "big")] * 2))
            assert connected(81)

    network.do(story)


def test_changes_are_made_all_or_none_and_the_refusal_names_the_one(network: Any, ruleset: Callable[[], bytes]) -> None:
    def story() -> None:
        with OwnedTable("tulle-test") as table:
            before = ruleset()
            with pytest.raises(Refused, match="refuses the rule 'astray': No such file or directory") as refused:
                table.commit(
                    nftables.chain("calls", "nat", nftables.OUTPUT, -100),
                    nftables.rule("nowhere", "astray", expressions.tcp()),
                    nftables.rule("calls", "fine", expressions.tcp()),
                )
            assert refused.value.errno == errno.ENOENT
            assert ruleset() == before
            table.commit(nftables.chain("calls", "nat", nftables.OUTPUT, -100))  # no answer of the last batch is left
            table.commit(nftables.rule("calls", "fine", expressions.tcp()))
            assert b"fine" in ruleset()

    network.do(story)


def test_nobody_else_changes_the_table_or_takes_its_name(network: Any) -> None:
    def story() -> None:
        with OwnedTable("tulle-test"):
            with pytest.raises(Refused, match="a table of its own, tulle-test"):
                OwnedTable("tulle-test")
            with OwnedTable("tulle-other") as other:
                other.name = "tulle-test"
                with pytest.raises(Refused, match="Operation not permitted"):
                    other.commit(nftables.chain("calls", "nat", nftables.OUTPUT, -100))

    network.do(story)


def test_the_table_is_gone_when_its_process_is_killed(network: Any, ruleset: Callable[[], bytes]) -> None:
    program = "from tulle.agent.capture.nftables import *; table = OwnedTable('tulle-test'); print(flush=True); input()"

    def story() -> None:
        owner = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": SOURCES},
        )
        with owner:
            assert owner.stdout and owner.stdout.readline()
            assert b"tulle-test" in ruleset()
            owner.send_signal(signal.SIGKILL)
            owner.wait()
            assert ruleset() == b""

    network.do(story)


def test_a_socket_from_another_network_carries_the_table_there(new_network: Any, ruleset: Callable[[], bytes]) -> None:
    here, there = new_network(), new_network()
    within = there.do(nftables.netfilter_socket)
    with here.within(lambda: OwnedTable("tulle-test", within)):
        assert here.do(ruleset) == b""
        assert b"tulle-test" in there.do(ruleset)
    assert there.do(ruleset) == b""


def test_without_the_capability_the_kernel_says_no(network: Any) -> None:
    program = "from tulle.agent.capture.nftables import OwnedTable; OwnedTable('tulle-test')"
    told = network.do(
        lambda: subprocess.run(
            ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all", sys.executable, "-c", program],
            env={**os.environ, "PYTHONPATH": SOURCES},
            capture_output=True,
            text=True,
        )
    )
    assert "Refused: the kernel refuses any change to its tables: Operation not permitted" in told.stderr


def test_it_is_imported_with_next_to_nothing() -> None:
    program = "import sys; import socket, struct; before = set(sys.modules)\n" + (
        "import tulle.agent.capture.nftables; print(*sorted(set(sys.modules) - before))"
    )
    told = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {SOURCES!r}); {program}"],
        capture_output=True,
        text=True,
        check=True,
    )
    ours = [name for name in told.stdout.split() if name.startswith("tulle")]
    assert set(told.stdout.split()) - set(ours) <= {"collections.abc", "_collections_abc", "__future__"}
