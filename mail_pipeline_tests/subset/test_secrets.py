"""What is left out is nowhere under the data folder: in no table, no file, no earlier state of either."""

from pathlib import Path

import mail_pipeline
from mail_pipeline.erasure import erase_excluded
from mail_pipeline.inbox.landing import Delivery
from mail_pipeline.marts.refresh import refresh_marts
from mail_pipeline.marts.texts import refresh_texts
from mail_pipeline.simulator import SPOILING, Faults
from mail_pipeline.subset import read_subsets
from mail_pipeline.sync.removal import stored_excluded
from mail_pipeline_tests.subset.mirrored import EWS, GOOGLE, mirrored
from mail_pipeline_tests.subset.secrets import directory, leaks, live, needles

PRIVATE = """
bodies = false
snippets = false
exclude_message_fields = ["subject"]
exclude_folders = ["Secret*"]
exclude_contact_fields = ["company_name", "job_title"]
exclude_event_fields = ["title", "location"]
hash_addresses = true
[provider.google]
calendars = false
events = false
"""


def test_planted_secrets_are_nowhere_under_the_data_folder(tmp_path: Path) -> None:
    faults = Faults(rate=0.5, kinds=SPOILING, seed=4)
    with mirrored(tmp_path, PRIVATE, EWS, faults=faults) as found:
        found.mirror()
        directory(found)
        live(found)
        for body in (b"zebrafish, and no JSON", b'{"type":"message.created","data":{"object":"zebrafish"}}'):
            with found.world.landing() as landing:
                landing.store([Delivery(1.0, {"content-type": "application/json"}, body)])
        found.world.apply()
        secrets = needles(found)
        assert len(secrets) > 30
        assert found.world.ask("SELECT count(*) > 0 FROM dead_letters") == [(True,)]
        assert len(found.world.stored()) > 5
        assert leaks(found, secrets | {"zebrafish", "Zebrafish"}) == set()


def test_what_was_stored_before_it_was_excluded_stays_until_it_is_removed_and_is_then_gone(
    tmp_path: Path,
) -> None:
    with mirrored(tmp_path, "", GOOGLE) as found:
        found.mirror()
        directory(found)
        live(found)
        before = found.world.stored()
        refresh_marts(found.world.data)
        refresh_texts(found.world.data)
        found.want(PRIVATE)
        found.world.register()
        found.mirror()
        with mail_pipeline.connect(found.world.data) as connection:
            outside, more = stored_excluded(connection, read_subsets(found.world.settings()))
        assert found.world.stored() == before
        assert outside == len(found.names)
        assert outside + more == len(before)

        report = erase_excluded(found.world.settings())
        found.world.close()
        assert (report.messages, report.narrowed) == (outside, more)
        assert report.records > 0
        assert report.notifications > 0
        with mail_pipeline.connect(found.world.data) as connection:
            assert stored_excluded(connection, read_subsets(found.world.settings())) == (0, 0)
        # Nor in the marts and texts that were made of it.
        assert leaks(found, needles(found) | {"zebrafish", "Zebrafish"}) == set()
        assert found.world.orphans() == {}

        again = erase_excluded(found.world.settings())
        assert (again.messages, again.narrowed, again.records, again.notifications) == (0, 0, 0, 0)

        found.world.close()
        found.want("")
        found.mirror()
        assert found.wrong() == {}
