"""What is read out of an Envoy, and out of what is none."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from tulle.envoy_api.binary import find
from tulle.envoy_api.descriptors import DescriptorsMissing, read


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return read(find({}).path)


def test_every_description_is_whole_and_nothing_else(files: dict[str, bytes]) -> None:
    assert len(files) > 500
    for name, encoded in files.items():
        proto = FileDescriptorProto.FromString(encoded)
        assert (proto.name, proto.SerializeToString()) == (name, encoded)


def test_a_program_without_sections_is_searched_as_a_whole(files: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "envoy"
    path.write_bytes(b"\x7fELF\x02\x01" + bytes(100) + b"\0\0\0".join(files.values()) + bytes(100))
    assert read(path) == files


def test_a_program_that_is_cut_off_lacks_some(files: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "envoy"
    path.write_bytes(b"".join(files.values())[:100_000])
    with pytest.raises(DescriptorsMissing, match=rf"{path} does not hold .*\.proto is not among them"):
        read(path)


@pytest.mark.parametrize("content", [b"", b"#!/bin/sh\nexec envoy\n", b"\x7fELF\x02\x01", b"\n\x09\xff"], ids=repr)
def test_what_is_no_envoy_is_said_to_be_none(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "envoy"
    path.write_bytes(content)
    with pytest.raises(DescriptorsMissing, match=str(path)):
        read(path)


def test_a_packed_envoy_and_another_program_are_none(files: dict[str, bytes], tmp_path: Path) -> None:
    packed = tmp_path / "packed"
    packed.write_bytes(gzip.compress(b"".join(files.values())))
    for path in (packed, Path(sys.executable)):
        with pytest.raises(DescriptorsMissing, match=r"\(0 found, envoy/service/discovery"):
            read(path)


def test_there_is_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "envoy")
