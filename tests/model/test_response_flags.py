"""Every flag that the installed Envoy may print is explained."""

from __future__ import annotations

import re

from tulle.envoy_api.messages import message
from tulle.model.response_flags import FLAGS, meaning


def test_each_flag_of_the_installed_envoy_is_explained() -> None:
    """By which of them its filter takes: the rule stands in the field's options."""
    field = message("envoy.config.accesslog.v3.ResponseFlagFilter").DESCRIPTOR.fields_by_name["flags"]
    rule = field.GetOptions().SerializeToString()
    # Each is a field of its own: its number, the length of the text, the text.
    known = {rule[at.end() : at.end() + at[1][0]].decode() for at in re.finditer(rb"R([\x02-\x05])(?=[A-Z])", rule)}
    assert len(known) > 25 and known <= FLAGS.keys()


def test_a_flag_is_explained_by_either_of_its_names() -> None:
    for short, flag in FLAGS.items():
        assert meaning(short) == meaning(flag.long) and flag.meaning in meaning(short)
    assert meaning("XYZ") == "a flag of Envoy's that is not known here"
