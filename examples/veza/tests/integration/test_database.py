"""The pool against a real PostgreSQL."""

import pytest
from internal.database import DatabaseError, Pool


def test_answers(pool: Pool) -> None:
    """A statement's rows come back."""
    assert pool.query("SELECT 1, 'a'") == [(1, "a")]


def test_comes_back_after_a_lost_connection(pool: Pool) -> None:
    """A connection that the server ended costs one query, not the pool."""
    with pytest.raises(DatabaseError):
        pool.query("SELECT pg_terminate_backend(pg_backend_pid())")
    assert pool.query("SELECT 1") == [(1,)]


def test_gives_up_on_a_query_that_hangs(pool: Pool) -> None:
    """A query gets its time limit, and the pool goes on with a new connection."""
    with pytest.raises(DatabaseError, match="no answer within"):
        pool.query("SELECT pg_sleep(60)")
    assert pool.query("SELECT 1") == [(1,)]
