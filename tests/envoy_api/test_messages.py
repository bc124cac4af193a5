"""Envoy's classes: made, encoded, shown, and kept apart from Google's own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from google.protobuf import any_pb2, json_format
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from tulle.envoy_api.binary import find
from tulle.envoy_api.descriptors import read
from tulle.envoy_api.messages import ANY, encode, from_dict, message, pack, to_dict, type_url, unpack

CLUSTER = "envoy.config.cluster.v3.Cluster"
HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def test_a_message_is_made_shown_and_read_again() -> None:
    options = message(HTTP_OPTIONS)(explicit_http_config={"http2_protocol_options": {}})
    cluster = message(CLUSTER)(
        name="b",
        type="EDS",
        connect_timeout={"seconds": 2},
        typed_extension_protocol_options={HTTP_OPTIONS: pack(options)},
    )
    shown = to_dict(cluster)
    assert shown == {
        "name": "b",
        "type": "EDS",
        "connect_timeout": "2s",
        "typed_extension_protocol_options": {
            HTTP_OPTIONS: {"@type": type_url(options), "explicit_http_config": {"http2_protocol_options": {}}}
        },
    }
    assert from_dict(CLUSTER, shown) == cluster
    assert unpack(cluster.typed_extension_protocol_options[HTTP_OPTIONS]) == options


def test_type_urls() -> None:
    assert type_url(message(CLUSTER)) == type_url(message(CLUSTER)()) == f"type.googleapis.com/{CLUSTER}"


def test_equal_messages_have_equal_bytes_whatever_the_order_of_their_maps() -> None:
    metadata = message("envoy.config.core.v3.Metadata")
    names = [f"name-{n}" for n in range(50)]
    one, other = (metadata(filter_metadata={n: {} for n in order}) for order in (names, names[::-1]))
    assert encode(one) == encode(other) == pack(one).value


def test_messages_inside_messages_and_of_rarely_used_files_are_found() -> None:
    assert message(f"{CLUSTER}.EdsClusterConfig")(service_name="b").service_name == "b"
    assert message("envoy.extensions.filters.http.rbac.v3.RBAC")


@pytest.mark.parametrize(
    "name", ["", "Cluster", "envoy.config.cluster.v3.Nope", "envoy.config.cluster.v3", "no.such.Thing"]
)
def test_an_unknown_name_is_an_error(name: str) -> None:
    with pytest.raises(KeyError):
        message(name)


def test_a_wrong_field_is_an_error() -> None:
    with pytest.raises(json_format.ParseError, match="no field named"):
        from_dict(CLUSTER, {"nonsense": 1})


def test_googles_own_classes_are_left_alone() -> None:
    assert message(ANY) is not any_pb2.Any
    assert any_pb2.Any(value=b"x").SerializeToString() == message(ANY)(value=b"x").SerializeToString()


def test_all_of_envoys_api_links() -> None:
    for name, encoded in read(find({}).path).items():
        proto = FileDescriptorProto.FromString(encoded)
        if proto.package.startswith(("envoy.", "xds.", "udpa.")) and proto.message_type:
            assert message(f"{proto.package}.{proto.message_type[0].name}").DESCRIPTOR.file.name == name


def test_an_envoy_that_is_none_is_reported_by_the_first_message() -> None:
    code = f"from tulle.envoy_api.messages import message; message({CLUSTER!r})"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "TULLE_ENVOY": "/nothing"}, capture_output=True, text=True
    )
    assert "EnvoyMissing: there is no Envoy at /nothing" in done.stderr
