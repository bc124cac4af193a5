"""Stories of one stream, as tables.

    want, drop   the owner's wishes: `want VHDS b:1 aka b.mesh needs CDS b, EDS b`; `b:-` is the answer "no such b"
    ask          a request: `ask EDS +b -c holds d:1`; a first CDS, LDS or VHDS request without names means everything
    ack, nack    the acknowledgement, or rejection, of the oldest response of that type that has none yet
    send         what the session must send then: nothing else, and in this order; `-b` is a removal

The session is flushed after each run of lines that is not followed by a wish.
"""

from __future__ import annotations

from collections import defaultdict, deque

from tulle.envoy_api.messages import message
from tulle.xds.requests import Accepted, Asked, Dropped, Event, Held, Rejected, Request
from tulle.xds.resources import CDS, EDS, LDS, RDS, SDS, VHDS, Key, Resource, resource
from tulle.xds.session import Session

TYPES = {"CDS": CDS, "EDS": EDS, "LDS": LDS, "RDS": RDS, "VHDS": VHDS, "SDS": SDS, "TDS": "example.com/Thing"}
SHORT = {type_url: short for short, type_url in TYPES.items()}


class Story:
    """A session, and what the client has yet to acknowledge."""

    def __init__(self) -> None:
        self.session = Session()
        self.events: list[Event] = []
        self._nonces: dict[str, deque[str]] = defaultdict(deque)

    def tell(self, table: str) -> None:
        """Act the lines of a table, and compare what is sent."""
        lines = [line.partition("#")[0].split() for line in table.splitlines()]
        lines = [line for line in lines if line]
        while lines:
            line = lines.pop(0)
            self._act(*line)
            if not lines or lines[0][0] not in ("want", "drop"):
                expected = []
                while lines and lines[0][0] == "send":
                    expected.append(" ".join(lines.pop(0)[1:]))
                assert self._flush() == expected, " ".join(line)

    def _act(self, verb: str, short: str, *words: str) -> None:
        type_url = TYPES[short]
        if verb == "want":
            self.session.want(made(type_url, words))
        elif verb == "drop":
            self.session.unwant(type_url, words[0])
        elif verb == "ask":
            self._say(asked(type_url, list(words)))
        elif verb == "ack":
            self._say(Request(type_url, nonce=self._nonces[short].popleft()))
        else:
            assert verb == "nack", verb
            self._say(Request(type_url, nonce=self._nonces[short].popleft(), error=" ".join(words)))

    def _say(self, request: Request) -> None:
        self.events += self.session.receive(request)

    def _flush(self) -> list[str]:
        sent = []
        for encoded in self.session.flush():
            response = message("envoy.service.discovery.v3.DeltaDiscoveryResponse").FromString(encoded)
            short = SHORT[response.type_url]
            self._nonces[short].append(response.nonce)
            for item in response.resources:
                assert not item.HasField("resource") or item.resource.type_url == response.type_url
            items = [f"{item.name}:{item.resource.value.decode() or '-'}" for item in response.resources]
            sent.append(" ".join([short, *items, *(f"-{name}" for name in response.removed_resources)]))
        return sent


def made(type_url: str, words: tuple[str, ...]) -> Resource:
    """`b:1 aka x y needs CDS b, EDS b`."""
    text, _, needs = " ".join(words).partition(" needs ")
    (named, *_), aliases = text.partition(" aka ")[0].split(), tuple(text.partition(" aka ")[2].split())
    name, _, body = named.rpartition(":")
    requires: tuple[Key, ...] = tuple((TYPES[n.split()[0]], n.split()[1]) for n in needs.split(",") if n)
    if body == "-":
        return Resource(type_url, name, aliases=aliases)
    return resource(type_url, name, body.encode(), aliases=aliases, requires=requires)


def asked(type_url: str, words: list[str]) -> Request:
    """`+b -c holds d:1`; a held one's aliases are part of its version: `d:1=x=y`."""
    at = words.index("holds") if "holds" in words else len(words)
    held = [word.split("=") for word in words[at + 1 :]]
    resources = [made(type_url, (first, "aka", *aliases)) for first, *aliases in held]
    return Request(
        type_url,
        subscribe=tuple(word[1:] for word in words[:at] if word[0] == "+"),
        unsubscribe=tuple(word[1:] for word in words[:at] if word[0] == "-"),
        held={r.name: r.version for r in resources},
    )


START = """
    want  LDS  door:1
    want  RDS  out:1
    want  VHDS out/_init:1
    ask   CDS               # nothing for it is an answer too: else Envoy waits for 15 s
    send  CDS
    ask   LDS
    send  LDS  door:1
    ask   RDS  +out
    send  RDS  out:1
    ask   VHDS
    send  VHDS out/_init:1
    ack   CDS
    ack   LDS
    ack   RDS
    ack   VHDS
"""

FIRST_CALL = """
    ask   VHDS +out/b
    want  CDS  b:1
    want  EDS  b:1
    want  VHDS out/b.default:1 aka out/b needs CDS b, EDS b
    send  CDS  b:1
    ask   EDS  +b
    send  EDS  b:1
    send  VHDS out/b.default:1
    ack   CDS
    ack   EDS
    ack   VHDS
"""


def test_an_envoy_starts_and_makes_its_first_call() -> None:
    story = Story()
    story.tell(START + FIRST_CALL)
    assert story.session.in_sync
    assert list(story.session.held(VHDS)) == ["out/_init", "out/b.default"]


def test_remembered_dependencies_are_sent_unasked_one_virtual_host_a_response() -> None:
    Story().tell("""
        want  VHDS out/b:1 needs CDS b, EDS b
        want  VHDS out/c:1 needs CDS c, EDS c
        want  EDS  b:1
        want  EDS  c:1
        want  CDS  b:1
        want  CDS  c:1
        ask   CDS
        send  CDS  b:1
        send  CDS  c:1
        ask   EDS  +b +c
        send  EDS  b:1 c:1
        ask   VHDS
        send  VHDS out/b:1
        send  VHDS out/c:1
    """)


def test_a_changed_endpoint_sends_one_resource() -> None:
    Story().tell(START + FIRST_CALL + "want EDS b:2 \n send EDS b:2 \n ack EDS")


def test_a_client_that_reconnects_with_what_it_should_hold_is_sent_nothing() -> None:
    story = Story()
    story.tell("""
        want  CDS  b:1
        want  EDS  b:1
        want  VHDS out/b.default:1 aka out/b needs CDS b, EDS b
        want  VHDS out/x:- aka out/x
        ask   CDS  holds b:1
        ask   VHDS +* +out/b +out/x holds out/b.default:1=out/b out/x:-
        ask   EDS  +b holds b:1
    """)
    assert story.session.in_sync


def test_a_name_asked_for_while_the_control_plane_was_away_is_answered() -> None:
    Story().tell("""
        want  CDS  b:1
        want  EDS  b:1
        want  VHDS out/b.default:1 aka out/b out/b.mesh needs CDS b, EDS b
        ask   CDS  holds b:1
        ask   EDS  +b holds b:1
        ask   VHDS +* +out/b.mesh +out/b holds out/b.default:1=out/b
        send  VHDS out/b.default:1
    """)


def test_after_a_reconnect_nothing_is_removed_before_all_is_known_that_may_need_it() -> None:
    story = Story()
    story.tell("""
        want  CDS  b:1
        ask   CDS  holds a:1 b:1      # a is no longer wanted, but something may use it
        ask   EDS  +a +b holds a:1 b:1
        want  EDS  b:1
        ask   LDS  holds door:1
        want  LDS  door:1
        ask   RDS  +out holds out:1
        want  RDS  out:1
    """)
    assert not story.session.in_sync
    story.tell("""
        ask   VHDS +* holds out/b:1   # it led to a; now it leads to b
        want  VHDS out/b:2 needs CDS b, EDS b
        send  VHDS out/b:2
        ack   VHDS
        send  EDS  -a
        ack   EDS
        send  CDS  -a
        ask   EDS  -a
        ack   CDS
    """)
    assert story.session.in_sync


def test_a_stale_virtual_host_goes_before_the_cluster_of_which_nothing_else_is_known() -> None:
    Story().tell(
        """
        ask   CDS  holds a:1
        ask   LDS
        send  LDS
        ask   VHDS +* holds out/a:1
        send  VHDS -out/a
        ack   VHDS
        send  CDS  -a
    """.replace("send  \n", "\n")
    )


def test_a_virtual_host_that_moves_to_another_cluster_is_make_before_break() -> None:
    Story().tell(
        START
        + FIRST_CALL
        + """
        drop  CDS  b
        drop  EDS  b
        want  CDS  c:1
        want  EDS  c:1
        want  VHDS out/b.default:2 aka out/b needs CDS c, EDS c
        send  CDS  c:1
        ask   EDS  +c
        send  EDS  c:1
        send  VHDS out/b.default:2
        ack   CDS
        ack   EDS
        ack   VHDS              # only now nothing uses the old ones
        send  EDS  -b
        send  CDS  -b
        ask   EDS  -b
        ack   EDS
        ack   CDS
    """
    )


def test_what_an_unchanged_one_no_longer_requires_goes() -> None:
    """A port's listener stays as it is when a rule leads the calls elsewhere, and its host's clusters change."""
    story = Story()
    story.tell(
        START
        + """
        want  CDS  b:1
        want  LDS  b:80:1 needs CDS b
        send  CDS  b:1
        send  LDS  b:80:1
        ack   CDS
        want  CDS  c:1
        want  LDS  b:80:1 needs CDS c
        drop  CDS  b
        send  CDS  c:1
        ack   LDS                         # of what required b
        send  CDS  -b
        ack   CDS
        ack   CDS
        want  CDS  d:1
        want  LDS  b:80:1 needs CDS d
        drop  CDS  c
        send  CDS  d:1
        send  CDS  -c
        ack   CDS
        ack   CDS
        drop  CDS  d
        """
    )
    assert not story.session.in_sync  # the listener requires it still
    story.tell("""
        drop  LDS  b:80
        send  LDS  -b:80
        ack   LDS
        send  CDS  -d
        ack   CDS
    """)
    assert story.session.in_sync


def test_what_a_refused_change_leaves_in_use_stays() -> None:
    Story().tell(
        START
        + FIRST_CALL
        + """
        drop  CDS  b
        drop  EDS  b
        want  CDS  c:1
        want  EDS  c:1
        want  VHDS out/b.default:2 needs CDS c, EDS c
        send  CDS  c:1
        ask   EDS  +c
        send  EDS  c:1
        send  VHDS out/b.default:2
        nack  VHDS bad regex
        want  VHDS out/b.default:3 needs CDS c, EDS c
        send  VHDS out/b.default:3
        ack   VHDS
        send  EDS  -b
        send  CDS  -b
    """
    )


def test_a_rejected_version_is_remembered_and_not_sent_again() -> None:
    story = Story()
    story.tell(
        START
        + FIRST_CALL
        + """
        want  CDS  b:bad
        send  CDS  b:bad
        send  EDS  b:1
        nack  CDS  no such timeout
        ack   EDS
        want  CDS  b:bad
    """
    )
    bad = made(CDS, ("b:bad",)).version
    rejected = Rejected(CDS, "b", bad, "no such timeout")
    assert story.events[-2:] == [rejected, Accepted(EDS, "b", made(EDS, ("b:1",)).version)]
    assert story.session.rejections == (rejected,)
    assert story.session.in_sync and not story.session.acknowledged(CDS, "b")
    assert story.session.held(CDS) == {"b": made(CDS, ("b:1",)).version}
    story.tell("want CDS b:1")  # which it still holds
    assert not story.session.rejections and story.session.acknowledged(CDS, "b")
    story.tell("want CDS b:bad \n send CDS b:bad \n send EDS b:1")


def test_a_first_answer_that_is_rejected_is_followed_by_another() -> None:
    story = Story()
    story.tell(
        START
        + """
        ask   VHDS +out/b
        want  VHDS out/b.default:bad aka out/b
        send  VHDS out/b.default:bad
        nack  VHDS bad regex
        want  VHDS out/b.default:fallback aka out/b
        send  VHDS out/b.default:fallback
        ack   VHDS
    """
    )
    assert story.session.in_sync and not story.session.rejections


def test_of_several_in_one_response_only_the_bad_one_is_rejected() -> None:
    story = Story()
    story.tell("""
        want  EDS  a:1
        want  EDS  b:bad
        want  EDS  c:1
        ask   EDS  +a +b +c
        send  EDS  a:1 b:bad c:1
        nack  EDS  one of them is bad
        send  EDS  a:1
        send  EDS  b:bad
        send  EDS  c:1
        ack   EDS
        nack  EDS  this one
        ack   EDS
    """)
    assert [event.name for event in story.session.rejections] == ["b"]
    assert list(story.session.held(EDS)) == ["a", "c"]


def test_a_further_name_of_a_virtual_host_is_answered_with_all_its_names() -> None:
    story = Story()
    story.tell(
        START
        + FIRST_CALL
        + """
        ask   VHDS +out/b:80
        want  VHDS out/b.default:1 aka out/b out/b:80 needs CDS b, EDS b
        send  VHDS out/b.default:1
        ack   VHDS
        want  VHDS out/b.default:1 aka out/b:80 out/b needs CDS b, EDS b
    """
    )
    assert story.session.in_sync


def test_a_name_that_is_asked_for_again_is_answered_again() -> None:
    Story().tell(
        START
        + FIRST_CALL
        + """
        ask   EDS  +b
        send  EDS  b:1
        ask   VHDS +out/b
        send  VHDS out/b.default:1
    """
    )


def test_there_is_no_such_thing() -> None:
    story = Story()
    story.tell(
        START
        + """
        ask   EDS  +nosuch
        send  EDS  -nosuch
        ack   EDS
        ask   RDS  +nosuch
        send  RDS  -nosuch
        ask   TDS  +nosuch
        send  TDS  -nosuch
        ask   VHDS +out/nosuch     # a removal would leave Envoy waiting: the owner must answer
        want  VHDS out/nosuch:- aka out/nosuch
        send  VHDS out/nosuch:-
        want  EDS  nosuch:1        # later there is
        send  EDS  nosuch:1
    """
    )


def test_what_is_refused_and_then_no_longer_wanted_is_answered() -> None:
    Story().tell("""
        want  EDS  b:bad
        ask   EDS  +b
        send  EDS  b:bad
        nack  EDS  bad
        drop  EDS  b
        send  EDS  -b
    """)


def test_a_negative_answer_gives_way_to_the_service() -> None:
    Story().tell(
        START
        + """
        ask   VHDS +out/b
        want  VHDS out/b:- aka out/b
        send  VHDS out/b:-
        ack   VHDS
        drop  VHDS out/b
        want  VHDS out/b.default:1 aka out/b
        send  VHDS out/b.default:1
        send  VHDS -out/b
    """
    )


def test_a_changed_cluster_is_followed_by_its_endpoints_for_which_envoy_waits_anew() -> None:
    Story().tell(
        START
        + FIRST_CALL
        + """
        want  CDS  b:2
        send  CDS  b:2
        send  EDS  b:1
    """
    )


def test_a_cluster_that_changed_while_the_control_plane_was_away_is_too() -> None:
    Story().tell("""
        want  CDS  b:2
        want  CDS  c:1
        want  EDS  b:1
        want  EDS  c:1
        ask   CDS  holds b:1 c:1
        send  CDS  b:2
        ask   EDS  +b +c holds b:1 c:1
        send  EDS  b:1
    """)


def test_a_slow_reader_gets_the_newest_only() -> None:
    wishes = "\n".join(f"want EDS b:{n}" for n in range(2, 12))
    Story().tell(START + FIRST_CALL + wishes + "\n send EDS b:11 \n ack EDS")


def test_a_change_that_is_undone_before_it_was_sent_sends_nothing() -> None:
    Story().tell(START + FIRST_CALL + "want EDS b:2 \n want EDS b:1 \n ask LDS")


def test_acknowledgements_may_lag_behind() -> None:
    story = Story()
    story.tell(
        START
        + FIRST_CALL
        + """
        want  EDS  b:2
        send  EDS  b:2
        want  EDS  b:3
        send  EDS  b:3
        nack  EDS  bad        # the second, while the third is under way
    """
    )
    assert not story.session.acknowledged(EDS, "b") and not story.session.in_sync
    story.tell("ack EDS")
    assert story.session.acknowledged(EDS, "b") and story.session.in_sync
    assert not story.session.rejections


def test_nonces_that_mean_nothing_are_ignored() -> None:
    story = Story()
    story.tell(START)
    assert story.session.receive(Request(EDS, nonce="999")) == ()
    assert story.session.receive(Request(LDS, nonce="1", error="of another type")) == ()
    assert story.session.receive(Request(CDS, nonce="1", error="settled long ago")) == ()
    assert story.session.flush() == []


def test_endpoints_are_sent_only_while_they_are_asked_for() -> None:
    Story().tell("""
        want  EDS  b:1
        ask   EDS  +c
        send  EDS  -c
        ask   EDS  +b
        send  EDS  b:1
        ask   EDS  -b
        want  EDS  b:2
        ack   EDS
        ack   EDS
        ask   EDS  +b
        send  EDS  b:2
    """)


def test_names_dropped_under_a_wildcard_are_told_what_becomes_of_them() -> None:
    Story().tell(
        START
        + """
        ask   VHDS +out/b +out/x
        want  VHDS out/b:1
        want  VHDS out/x:- aka out/x
        send  VHDS out/b:1
        send  VHDS out/x:-
        ack   VHDS
        ack   VHDS
        ask   VHDS -out/b -out/x
        drop  VHDS out/x
        send  VHDS out/b:1
        send  VHDS -out/x
    """
    )


def test_a_client_that_gives_up_the_wildcard_keeps_what_it_named() -> None:
    Story().tell("""
        want  CDS  a:1
        want  CDS  b:1
        ask   CDS
        send  CDS  a:1
        send  CDS  b:1
        ask   CDS  +b
        send  CDS  b:1
        ask   CDS  -*
        want  CDS  a:2
        want  CDS  b:2
        send  CDS  b:2
        ask   CDS  +*
        send  CDS  a:2
    """)


def test_the_owner_is_told_what_happens() -> None:
    story = Story()
    story.tell(
        "want CDS b:1 \n want EDS b:1 \n ask CDS +* holds b:1 x:1 \n ask EDS +b +c -d \n send EDS b:1 \n send EDS -c"
    )
    one = made(CDS, ("b:1",)).version
    assert story.events == [
        Held(CDS, {"b": one, "x": made(CDS, ("x:1",)).version}),
        Dropped(EDS, ("d",)),
        Asked(EDS, ("b", "c")),
    ]
    story.tell("ack EDS \n ack EDS")
    assert story.events[3:] == [Accepted(EDS, "b", made(EDS, ("b:1",)).version)]


def test_it_says_what_it_waits_for() -> None:
    story = Story()
    story.tell("want LDS door:1")
    assert story.session.pending == ((LDS, "door"),) and not story.session.in_sync
    story.tell("ask LDS \n send LDS door:1")
    assert not story.session.pending and not story.session.in_sync
    story.tell("ack LDS \n want VHDS out/b:1 needs CDS b \n ask VHDS")
    assert story.session.pending == ((VHDS, "out/b"),)
    assert not story.session.acknowledged(VHDS, "out/b") and story.session.acknowledged(EDS, "b")
    story.tell("drop VHDS out/b \n send VHDS \n ack VHDS")
    assert story.session.in_sync
