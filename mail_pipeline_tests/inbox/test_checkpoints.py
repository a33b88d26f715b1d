"""The log of the landing table does not grow without end, whoever stores or reads."""

from pathlib import Path

from mail_pipeline.inbox.landing import Delivery, Landing
from mail_pipeline.settings import Settings

MB = 2**20


def test_the_log_begins_anew_while_much_is_stored(tmp_path: Path):
    group = [Delivery(1.0, {}, bytes(MB))] * 4
    with Landing.open(Settings(data=tmp_path)) as landing:
        for _ in range(100):
            landing.store(group)
        log = (tmp_path / "inbox.sqlite-wal").stat().st_size

        assert landing.count() == 400
    assert log < 160 * MB
    assert (tmp_path / "inbox.sqlite").stat().st_size > 400 * MB
