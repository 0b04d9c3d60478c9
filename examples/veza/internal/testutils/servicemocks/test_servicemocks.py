"""A mock is worth something only while it looks like what it stands for."""

import inspect

import pytest

from internal.testutils.servicemocks import MockTrackService
from internal.tracks import TrackService


@pytest.mark.parametrize("name", ["listed", "found", "create", "play"])
def test_has_the_signature_of_the_real_service(name: str) -> None:
    """A handler that calls the mock calls the real service in the same way.

    Known to fail for `create`: the real one has been given `seconds`, and the mock has not (see QUARANTINE.md).
    """
    assert inspect.signature(getattr(MockTrackService, name)) == inspect.signature(getattr(TrackService, name))


def test_counts_plays() -> None:
    """Plays are added to the track that was played, and to no other."""
    mock = MockTrackService()
    mock.create("one")
    mock.create("two")
    mock.play(2, 3)
    assert [track.plays for track in mock.listed()] == [0, 3]
