"""Any message."""

from __future__ import annotations

from typing import Any, get_type_hints

from hypothesis import strategies as st

from l7.ipc.messages import KINDS, Message

NUMBERS = st.integers(-(2**63), 2**63)


def _values(hint: Any) -> st.SearchStrategy[Any]:
    if hint is float:
        return st.floats(allow_nan=False, allow_infinity=False)
    return NUMBERS if hint is int else st.from_type(hint)


def any_message() -> st.SearchStrategy[Message]:
    """One of any kind, with any values."""
    optional = {"idle_left": st.none() | _values(float)}
    return st.one_of(
        [
            st.builds(kind, **{name: optional.get(name, _values(hint)) for name, hint in get_type_hints(kind).items()})
            for kind in KINDS.values()
        ]
    )
