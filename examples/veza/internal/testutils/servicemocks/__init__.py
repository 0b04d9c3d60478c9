"""Stand-ins for services, for the tests of the handlers."""

from __future__ import annotations

from internal.tracks import Track


class MockTrackService:
    """Tracks kept in a list: no database, no cache."""

    def __init__(self) -> None:
        self.tracks: list[Track] = []

    def listed(self) -> list[Track]:
        """Return all tracks."""
        return list(self.tracks)

    def found(self, track: int) -> Track | None:
        """Return a track; None if there is none with this number."""
        return next((each for each in self.tracks if each.id == track), None)

    def create(self, title: str) -> Track:
        """Add a track."""
        track = Track(len(self.tracks) + 1, title, 0)
        self.tracks.append(track)
        return track

    def play(self, track: int, plays: int) -> None:
        """Count plays of a track."""
        self.tracks = [Track(t.id, t.title, t.seconds, t.plays + plays * (t.id == track)) for t in self.tracks]
