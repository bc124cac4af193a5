"""The store of traces: what is found again, what goes, and what a bad disk does."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tulle.envoy_api.messages import message
from tulle.telemetry.traces import keeper, otlp, search
from tulle.telemetry.traces.database import Database
from tulle.telemetry.traces.keeper import FILE, Full, Traces, Unreadable
from tulle.telemetry.traces.otlp import Sender
from tulle.telemetry.traces.room import least_free
from tulle.telemetry.traces.search import Ambiguous, Asked, Search
from tulle.telemetry.traces.span import Span

NOW = 1_800_000_000 * 10**9
MS = 10**6
MB = 1024 * 1024
OUT, INTO = "1" * 16, "2" * 16


def span(trace: str, id: str = OUT, parent: str = "", service: str = "web.default", **more: Any) -> Span:
    fields = {"instance": "", "name": "GET x", "kind": "client", "start": NOW, "end": NOW + 5 * MS, "error": False}
    return Span(trace.rjust(32, "0"), id, parent, service, **{**fields, "attributes": {}, **more})


def written(path: Path, *spans: Span, most_bytes: int = 1 << 30) -> Search:
    database = Database(path / FILE, most_bytes)
    database.write({"": spans}, NOW)
    database.close()
    return Search(path / FILE)


def export(trace: bytes, name: str = "GET outbound|80|v1|b.default.svc.cluster.local", sdk: str = "envoy") -> bytes:
    resource = [{"key": "service.name", "value": {"string_value": "liar"}}]
    resource.append({"key": "telemetry.sdk.name", "value": {"string_value": sdk}})
    one = {
        "trace_id": trace,
        "span_id": b"s" * 8,
        "name": name,
        "start_time_unix_nano": NOW,
        "end_time_unix_nano": NOW + 1,
    }
    scopes = [{"scope": {"name": sdk}, "spans": [one]}]
    request = message(otlp.REQUEST)(resource_spans=[{"resource": {"attributes": resource}, "scope_spans": scopes}])
    return bytes(request.SerializeToString())


@asynccontextmanager
async def kept(folder: Path, **settings: Any) -> AsyncIterator[Traces]:
    traces = Traces(folder, **{"clock": lambda: NOW / 1e9, **settings})
    keeping = asyncio.create_task(traces.keep())
    yield traces
    keeping.cancel()
    await asyncio.wait([keeping])


async def until(true: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110  it is a thread that changes it
            await asyncio.sleep(0.01)


def test_spans_that_come_apart_are_one_trace_whose_root_is_the_one_without_parent(tmp_path: Path) -> None:
    database = Database(tmp_path / FILE)
    database.write({"": [span("a", INTO, OUT, "b.default", start=NOW + MS, error=True)]}, NOW)
    database.write({"": [span("a", name="GET b", end=NOW + 9 * MS)]}, NOW)
    (found,) = Search(tmp_path / FILE).find(Asked(service="b.default"))
    assert (found.root, found.spans, found.errors, found.end - found.start) == (("web.default", "GET b"), 2, 1, 9 * MS)
    assert [each.id for each in Search(tmp_path / FILE).trace(found.id)] == [OUT, INTO]
    database.close()


def test_a_trace_is_found_by_the_beginning_of_its_id_and_by_the_id_of_a_request(tmp_path: Path) -> None:
    attributes: dict[str, Any] = {"guid:x-request-id": "any 'text'"}
    one, other = "abcdef01" + "0" * 24, "abcdef02" + "0" * 24
    search = written(tmp_path, span(one), span(other, attributes=attributes))
    assert search.trace("ABCDEF01")[0].trace == one
    assert search.trace("any 'text'")[0].trace == other
    assert search.trace("any 't")[0].trace == other
    assert search.trace("abcde") == search.trace("any '") == search.trace("abcdef03") == search.trace("%") == []
    written(tmp_path, span("abcdef01" + "1" * 24))
    with pytest.raises(Ambiguous, match=one):
        search.trace("abcdef01")


def test_what_is_asked_for_is_what_is_found(tmp_path: Path) -> None:
    search = written(
        tmp_path,
        span("1", start=NOW, end=NOW + 300 * MS),
        span("2", start=NOW + 1, error=True, attributes={"http.status_code": "503"}),
        span("3", start=NOW + 2, service="other"),
    )

    def ids(**asked: Any) -> list[str]:
        return [found.id.lstrip("0") for found in search.find(Asked(**asked))]

    assert ids() == ["3", "2", "1"]
    assert ids(limit=1) == ["3"]
    assert ids(service="web.default") == ["2", "1"]
    assert ids(shortest=300 * MS) == ["1"]
    assert ids(longest=299 * MS) == ["3", "2"]
    assert ids(errors=True) == ids(tags={"http.status_code": "503"}) == ids(tags={"error": "true"}) == ["2"]
    assert ids(since=NOW + 1, until=NOW + 1) == ["2"]
    assert ids(operation="GET y") == []
    assert search.services() == ["other", "web.default"]
    assert search.operations("other") == [("GET x", "client")]


def test_the_oldest_traces_make_room_and_failed_ones_last_longer(tmp_path: Path) -> None:
    database = Database(tmp_path / FILE, most_bytes=200_000)
    text = {"text": "x" * 1000}
    for number in range(1, 1001):
        database.write({"": [span(f"{number:x}", error=number == 1, attributes={**text})]}, NOW + number)
    search = Search(tmp_path / FILE)
    traces, size = search.size()
    assert size <= 200_000
    assert 100 < traces < 200
    assert database.deleted == 1000 - traces
    assert search.trace("1".rjust(32, "0"))  # it failed
    assert not search.trace("2".rjust(32, "0"))
    assert search.trace(f"{1000:x}".rjust(32, "0"))
    assert (tmp_path / FILE).stat().st_size < 3 * 200_000
    database.close()


def test_what_is_older_than_a_day_goes(tmp_path: Path) -> None:
    database = Database(tmp_path / FILE)
    database.write({"": [span("1")]}, NOW)
    database.write({"": [span("2")]}, NOW + 25 * 3600 * 10**9)
    assert [found.id.lstrip("0") for found in Search(tmp_path / FILE).find(Asked())] == ["2"]
    database.close()


def test_names_of_operations_go_with_the_last_trace_that_has_them(tmp_path: Path) -> None:
    database = Database(tmp_path / FILE)
    database.write({"": [span("1", name="GET /1")]}, NOW)
    database.write({"": [span("2", name="GET /2")]}, NOW + 25 * 3600 * 10**9)
    assert Search(tmp_path / FILE).operations("web.default") == [("GET /2", "client")]
    database.close()


def test_a_trace_of_the_far_future_stands_before_no_later_ones(tmp_path: Path) -> None:
    database, later = Database(tmp_path / FILE), NOW + 600 * 10**9
    database.write({"": [span("1", start=1 << 62, end=1 << 62), span("2", start=NOW + 60 * 10**9, end=later)]}, NOW)
    database.write({"": [span("3", start=later - MS, end=later)]}, later)
    found = Search(tmp_path / FILE).find(Asked(since=NOW + 1))
    assert [one.id.lstrip("0") for one in found] == ["3", "1", "2"]
    assert Search(tmp_path / FILE).trace("1".rjust(32, "0"))[0].start == 1 << 62  # as it was told
    database.close()


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 1.7e308])
def test_a_number_that_json_has_no_word_for_spoils_no_trace(number: float) -> None:
    attributes = [{"key": "n", "value": {"double_value": number}}]
    spans = [{"trace_id": b"t" * 16, "span_id": b"s" * 8, "attributes": attributes}]
    [found] = otlp.spans_of(message(otlp.REQUEST)(resource_spans=[{"scope_spans": [{"spans": spans}]}]))
    told = msgspec.json.decode(msgspec.json.encode(found.attributes), type=dict[str, float | str])
    assert str(told["n"]) == str(number)


def test_a_file_that_is_no_database_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"garbage" * 1000)
    assert written(tmp_path, span("1")).size()[0] == 1
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


def test_what_was_written_is_there_after_a_kill(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from tulle.telemetry.traces.database import Database;"
        "from tulle.telemetry.traces.span import Span; d = Database(Path(sys.argv[1]));"
        f"d.write({{'': [Span('1'.rjust(32, '0'), 's', '', 'a', '', 'n', 'client', {NOW}, {NOW}, False, {{}})]}}, {NOW});"
        "print('written', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path / FILE)], stdout=subprocess.PIPE)
    assert process.stdout and process.stdout.readline() == b"written\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert written(tmp_path, span("2")).size()[0] == 2


async def test_a_disk_that_fails_costs_spans_which_are_counted_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "_AGAIN_SECONDS", 0.0)
    (tmp_path / FILE).mkdir()  # nothing can be written to that
    async with kept(tmp_path) as traces:
        traces.take(export(b"1" * 16))
        await until(lambda: traces.counts().lost == 1)
        assert FILE in traces.counts().trouble
        (tmp_path / FILE).rmdir()
        traces.take(export(b"2" * 16))
        await until(lambda: traces.counts().taken == 1)
        assert traces.counts().trouble == ""
        assert await traces.ask(lambda search: search.size()[0]) == 1


def test_a_file_that_may_not_grow_holds_what_fits(tmp_path: Path) -> None:
    program = Path(__file__).with_name("full_disk.py")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, str(program), str(tmp_path)], capture_output=True, text=True, timeout=60, env=env
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "lost some, alive\n"


def test_on_a_short_disk_traces_give_way_before_any_other_write_fails(
    tmp_path: Path, on_small_disk: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    run = on_small_disk("20m", Path(__file__).with_name("short_disk.py"), tmp_path)
    assert run.returncode == 0, run.stderr
    given_back, gone = sorted(run.stdout.splitlines())  # one begins with the file's name
    assert "short of room" in given_back and "for the mesh's own store" in gone


@pytest.mark.parametrize(
    ("size", "left"), [(0, 0), (4 * MB, 8 * MB), (100 * MB, 25 * MB), (250_000 * MB, 64 * MB)], ids=str
)
def test_so_much_of_a_disk_is_left_to_the_mesh_itself(size: int, left: int) -> None:
    assert least_free(size) == left


async def test_an_envoy_is_who_its_agent_has_proved_to_be_and_names_are_of_services(tmp_path: Path) -> None:
    sender = Sender("web-1a2b3c", "web.default", "default")
    async with kept(tmp_path) as traces:
        traces.take(export(b"\1" * 16), sender)
        traces.take(export(b"\2" * 16, sdk="opentelemetry"), sender)
        await until(lambda: traces.counts().taken == 2)
        (proved,) = await traces.ask(lambda search: search.trace("01" * 16))
        (said,) = await traces.ask(lambda search: search.trace("02" * 16))
    assert (proved.service, proved.instance) == ("web.default", "web-1a2b3c")
    assert proved.name == "GET b.default.svc.cluster.local:80"
    assert (said.service, said.instance) == ("liar", "web-1a2b3c")


async def test_what_is_no_export_is_counted_and_too_much_at_once_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with kept(tmp_path) as traces:
        traces.take(b"\xff" * 20)
        await until(lambda: traces.counts().malformed == 1)
        monkeypatch.setattr(keeper, "MOST_WAITING", 10)
        with pytest.raises(Full):
            traces.take(export(b"1" * 16))


def test_one_agent_that_sends_too_much_at_once_leaves_room_for_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "MOST_WAITING", 30)
    traces = Traces(tmp_path)
    loud, quiet = Sender("loud-1", "loud.shop", "shop"), Sender("quiet-1", "quiet.shop", "shop")
    traces.take(b"x" * 15, loud)
    with pytest.raises(Full):
        traces.take(b"x", loud)
    traces.take(b"x" * 7, Sender("loud-2", "loud.shop", "shop"))  # however many flood, something is left
    traces.take(b"x" * 4, quiet)


async def test_no_more_than_some_wait_for_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "_MOST_ASKING", 1)
    async with kept(tmp_path) as traces:
        first = asyncio.create_task(traces.ask(lambda search: search.size()))
        await asyncio.sleep(0)
        with pytest.raises(Unreadable, match="too many"):
            await traces.ask(lambda search: search.size())
        assert await first == await traces.ask(lambda search: search.size()) == (0, 0)


def test_who_tells_most_loses_his_oldest_and_nobody_else_any(tmp_path: Path) -> None:
    database = Database(tmp_path / FILE, most_bytes=100_000)
    text = {"text": "x" * 1000}
    for number in range(20):
        database.write({"quiet.shop": [span(f"a{number:x}", attributes={**text})]}, NOW + number)
    for number in range(500):
        loud = span(f"b{number:x}", error=True, attributes={**text})
        database.write({"loud.shop": [loud]}, NOW + 1000 + number)
    found = [one.id for one in Search(tmp_path / FILE).find(Asked(limit=1000))]
    assert sum(id.lstrip("0")[0] == "a" for id in found) == 20 and len(found) < 100
    assert database.crowded_out == database.deleted == 520 - len(found)
    assert max(database.shares, key=database.shares.__getitem__) == "loud.shop" and len(database.shares) == 2
    shares = database.shares
    database.close()
    database.write({}, NOW + 2000)
    assert database.shares == shares
    database.close()


def test_who_adds_much_to_the_trace_of_another_pays_for_it_and_not_without_end(tmp_path: Path) -> None:
    database = Database(tmp_path / FILE, most_bytes=400_000)
    text = {"text": "x" * 1000}
    database.write({"quiet.shop": [span("a")], "loud.shop": [span("a", INTO, attributes={**text})]}, NOW)
    assert database.shares == {"loud.shop": 1.0}
    for number in range(100):
        database.write({"loud.shop": [span("a", f"{number:016x}", attributes={**text})]}, NOW)
    assert Search(tmp_path / FILE).size()[1] <= 20_000 and database.lost > 70
    database.close()


async def test_a_clock_that_jumps_makes_no_trace_older_nor_eternal(tmp_path: Path) -> None:
    unix, steady = [1.8e9], [0.0]
    day = 24 * 3600.0

    def pass_by(seconds: float) -> None:
        unix[0] += seconds
        steady[0] += seconds

    async def told(traces: Traces, id: bytes) -> list[str]:
        before = traces.counts().taken
        traces.take(export(id * 16))
        await until(lambda: traces.counts().taken > before)
        return sorted(one.id[:2] for one in await traces.ask(lambda search: search.find(Asked())))

    clocks = {"clock": lambda: unix[0], "steady": lambda: steady[0]}
    async with kept(tmp_path, **clocks) as traces:
        await told(traces, b"\1")
        unix[0] += 30 * day
        assert await told(traces, b"\2") == ["01", "02"]
        unix[0] -= 60 * day
        assert await told(traces, b"\3") == ["01", "02", "03"]
        pass_by(day + 1)
        assert await told(traces, b"\4") == ["04"]
    unix[0] -= 10 * day  # while nothing runs
    async with kept(tmp_path, **clocks) as traces:
        assert await told(traces, b"\5") == ["04", "05"]
        pass_by(day + 3700)
        assert await told(traces, b"\6") == ["06"]


async def test_an_error_that_nobody_thought_of_costs_spans_and_not_the_control_plane(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with kept(tmp_path) as traces:
        monkeypatch.setattr(Span, "request_id", property(lambda span: 1))
        traces.take(export(b"1" * 16))
        await until(lambda: traces.counts().lost)
    assert traces.counts().trouble


def test_an_answer_has_no_more_spans_than_may_be_but_one_trace_at_least(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "MOST_SPANS", 5)
    written(tmp_path, *[span(trace, f"{number:016x}") for trace in "abc" for number in range(3)])
    found = Search(tmp_path / FILE)
    assert [len(one) for one in found.traces(found.find(Asked()))] == [3]
    assert [len(one) for one in found.several([f"{trace:0>32}" for trace in "aXb"])] == [3]
    monkeypatch.setattr(search, "MOST_SPANS", 2)
    assert [len(one) for one in found.traces(found.find(Asked()))] == [3]
    monkeypatch.setattr(search, "MOST_SPANS", 9)
    assert [len(one) for one in found.several([f"{trace:0>32}" for trace in "abc"])] == [3, 3, 3]


def test_a_trace_of_a_great_many_services_is_found_by_some_of_them(tmp_path: Path) -> None:
    database = Database(tmp_path / FILE)
    for number in range(0, 300, 50):
        spans = [span("a", f"{number + one:016x}", service=f"s{number + one:03}") for one in range(50)]
        database.write({"": spans}, NOW)
    [found] = Search(tmp_path / FILE).find(Asked(service="s007"))
    assert (len(found.services), found.spans) == (100, 300)
    assert len(Search(tmp_path / FILE).services()) == 100
    database.close()
