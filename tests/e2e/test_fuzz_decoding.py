"""Decoding and the search for every mistake agree about any values of any check."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gate.checks import CHECKS
from gate.decode.structs import ValidationError, decode_all_errors
from tests.support.document_values import DOCUMENT_VALUES


@pytest.mark.parametrize("kind", CHECKS.kinds())
@given(value=st.data())
def test_a_check_is_decoded_or_has_mistakes(kind: str, value: st.DataObject) -> None:
    """The walk finds no mistake in what is decoded, and at least one where it is not."""
    check = CHECKS.get_class(kind)
    given_ = value.draw(
        st.dictionaries(st.sampled_from(list(check.__struct_encode_fields__)), DOCUMENT_VALUES, max_size=4)
    )
    try:
        decode_all_errors(given_, check)
    except ValidationError:
        assert list(check.iter_issues(given_))
    else:
        assert not list(check.iter_issues(given_))
