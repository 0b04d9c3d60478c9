"""The upload worker."""

from internal.metrics import Metrics
from internal.workers.uploads import UploadWorker, checked


def test_a_broken_file_fails_alone() -> None:
    """What is no audio file has failed, and the next one is processed nevertheless."""
    worker = UploadWorker(checked, Metrics())
    bad, good = worker.submit(b"MZ"), worker.submit(b"OggS")
    worker.work()
    assert (worker.state(bad), worker.state(good)) == ("failed", "done")


def test_says_how_many_are_pending() -> None:
    """The metrics say how many uploads nobody has looked at yet."""
    metrics = Metrics()
    worker = UploadWorker(checked, metrics)
    worker.submit(b"OggS")
    worker.measure()
    assert metrics.registry.get_sample_value("veza_uploads_pending") == 1


def test_knows_no_foreign_number() -> None:
    """A number that was never given out has no state."""
    assert UploadWorker(checked, Metrics()).state(7) is None
