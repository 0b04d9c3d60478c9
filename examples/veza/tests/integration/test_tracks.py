"""Tracks in a real PostgreSQL, with a real Redis in front."""

from internal.cache import Cache
from internal.database import Pool
from internal.tracks import TrackService


def test_a_new_track_is_listed(pool: Pool, cache: Cache) -> None:
    """A track that was created is in the next list, whatever Redis had kept."""
    service = TrackService(pool, cache)
    service.listed()
    made = service.create("Nuit blanche", 214)
    assert made in service.listed()


def test_plays_are_added(pool: Pool, cache: Cache) -> None:
    """Plays are added to what was there."""
    service = TrackService(pool, cache)
    made = service.create("Aube", 180)
    service.play(made.id, 2)
    service.play(made.id, 3)
    assert next(track.plays for track in service.listed() if track.id == made.id) == 5


def test_redis_keeps_the_list(pool: Pool, cache: Cache) -> None:
    """The list comes from Redis while it is fresh."""
    service = TrackService(pool, cache)
    listed = service.listed()
    pool.query("INSERT INTO tracks (title, seconds) VALUES ('unseen', 1)")
    assert service.listed() == listed
