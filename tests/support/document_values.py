"""Values that may stand anywhere in a YAML document, for hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

DOCUMENT_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["1s", "5", "round"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*"ab", "number", "wait"]), inner),
    max_leaves=8,
)
