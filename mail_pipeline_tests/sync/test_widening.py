"""What a mailbox lacks once more is wanted of it: just that, whatever was wanted before."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mail_pipeline.subset import Subsets
from mail_pipeline.subset.fields import KINDS
from mail_pipeline.subset.folders import Standing
from mail_pipeline.sync.checkpoints import COMPLETE, FAILED, LISTING, PAUSED, REGISTERED, Checkpoint
from mail_pipeline.sync.position import BackfillOptions, Position, narrower, next_position
from mail_pipeline.sync.widening import Goal, Missing, Step, read_steps, steps_text

FOLDERS = [
    {"id": f"f{number}", "name": name, "role": role, "parent_id": None}
    for number, (name, role) in enumerate(
        [("Inbox", "inbox"), ("Sent", "sent"), ("Junk", "junk"), ("Private", None), ("Work", None)]
    )
]
OPTIONS = BackfillOptions()


def goal(provider: str = "google", **rules: Any) -> Goal:
    return Goal(Subsets(rules, key=rules.pop("key", b"key")).of("g", provider), lambda: FOLDERS)


_FIELDS = st.sets(st.sampled_from(["subject", "snippet", "body", "cc", "unread"]))
_PATTERNS = st.sets(st.sampled_from(["role:junk", "role:sent", "Private", "*"]), max_size=2)
_RULES = st.fixed_dictionaries(
    {
        "exclude_message_fields": _FIELDS.map(sorted).map(tuple),
        "exclude_folders": _PATTERNS.map(sorted).map(tuple),
        "folders": _PATTERNS.map(sorted).map(tuple),
    },
    optional={"search": st.sampled_from(["a", "b"]), "hash_addresses": st.booleans()},
)


@given(_RULES, _RULES)
def test_what_is_missing_is_what_is_wanted_now_and_was_not_then(
    then: dict[str, Any], now: dict[str, Any]
) -> None:
    before, after = goal(**then), goal(**now)
    missing = after.missing(before.described)
    if missing.everything:
        assert before.subset.search not in {None, after.subset.search} or (
            before.subset.folders.wanted and not after.subset.folders.wanted
        )
        return
    fields = {name for step in missing.steps for name in step.fields}
    listed = {step.folder for step in missing.steps if step.folder is not None}
    people = KINDS["message"].people if before.subset.hashing and not after.subset.hashing else frozenset()
    for name in KINDS["message"].fields:
        wanted = after.subset.keeps("message", name)
        assert (name in fields) == (wanted and (name in people or not before.subset.keeps("message", name)))
    stood = before.subset.folders.standings(FOLDERS)
    for folder, standing in after.subset.folders.standings(FOLDERS).items():
        if standing is Standing.WANTED and stood[folder] is not Standing.WANTED:
            assert folder in listed
        if standing is stood[folder]:
            assert folder not in listed
    assert after.missing(after.described) == Missing()


@given(_RULES, _RULES, _RULES)
def test_what_either_of_two_changes_left_out_is_lacking(
    first: dict[str, Any], second: dict[str, Any], now: dict[str, Any]
) -> None:
    one, other, after = goal(**first), goal(**second), goal(**now)
    lacking = other.lacking(one.described)
    missing = after.missing(lacking)
    for each in (after.missing(one.described), after.missing(other.described)):
        assert missing.everything or not each.everything
        for step in () if missing.everything else each.steps:
            found = [known for known in missing.steps if known.folder == step.folder]
            assert found
            assert set(step.fields) <= set(found[0].fields)
    assert other.lacking(lacking) == lacking


def test_hashes_of_another_key_are_fetched_anew_and_clear_addresses_are_not() -> None:
    clear, one, other = goal(), goal(hash_addresses=True), goal(hash_addresses=True, key=b"another")
    people = set(KINDS["message"].people)
    assert set(other.missing(one.described).steps[0].fields) == people
    assert set(clear.missing(one.described).steps[0].fields) == people | {"metadata"}
    assert not one.missing(clear.described)


def test_folders_of_imap_are_mailboxes_by_themselves() -> None:
    assert not goal("imap").missing(goal("imap", exclude_folders=("Private",)).described)


def test_many_folders_are_listed_at_once() -> None:
    many = [{"id": f"m{n}", "name": f"Team {n}", "role": None, "parent_id": None} for n in range(6)]
    wide = Goal(Subsets().of("g", "google"), lambda: many)
    assert wide.missing(goal(exclude_folders=("Team *",)).described) == Missing(everything=True)
    assert wide.missing(goal(exclude_folders=("Team 3",)).described) == Missing(steps=(Step(folder="m3"),))


def test_steps_come_back_from_a_checkpoint_as_they_were() -> None:
    steps = (Step(fields=("body", "subject")), Step(folder="f1"))
    assert read_steps(steps_text(steps)) == steps
    assert steps_text(()) is None
    assert read_steps(None) == ()
    assert [step.select for step in steps] == [("id", "date", "folders", "body", "subject"), ()]


def at(state: str = COMPLETE, **fields: Any) -> Checkpoint:
    told: dict[str, Any] = {"round": 1, "pages": 3, "oldest": 50, "newest": 90, **fields}
    return Checkpoint(partition_key="g", grant_id="g", state=state, **told)


def begin(checkpoint: Checkpoint, wanted: Goal) -> Position | None:
    return next_position(checkpoint, OPTIONS, resync=False, goal=wanted)


def test_a_complete_mailbox_is_listed_again_only_for_what_is_missing() -> None:
    less = goal(bodies=False)
    assert begin(at(), goal()) is None
    assert begin(at(), less) is None
    found = begin(at(subset=less.described, since=7), goal())
    assert found is not None
    assert (found.round, found.since, found.restart, found.subset, found.goal) == (
        2,
        7,
        True,
        less.described,
        None,
    )
    assert found.step == Step(fields=("body",))


def test_a_pass_in_progress_goes_on_under_less_and_begins_anew_under_more() -> None:
    less = goal(bodies=False)
    for state in (LISTING, PAUSED, FAILED):
        same = begin(at(state, cursor="c", listed_before=60), goal())
        assert same is not None
        assert (same.cursor, same.before, same.round) == ("c", 60, 1)
        narrowed = begin(at(state, cursor="c"), less)
        assert narrowed is not None
        # A cursor belongs to what was asked for: the rest is listed by time.
        assert (narrowed.cursor, narrowed.before, narrowed.round) == (None, 51, 1)
        assert narrowed.subset == less.described
        widened = begin(at(state, cursor="c", subset=less.described), goal())
        assert widened is not None
        assert (widened.cursor, widened.round, widened.restart, widened.subset) == (None, 2, True, None)


def test_what_is_added_goes_on_where_it_stood_and_begins_anew_when_it_is_another() -> None:
    less = goal(bodies=False, snippets=False)
    steps = steps_text([Step(fields=("snippet", "body"))])
    standing = at(LISTING, subset=less.described, adding=steps, cursor="c")
    same = begin(standing, goal())
    assert same is not None
    assert (same.cursor, same.adding, same.round) == ("c", steps, 1)
    other = begin(standing, goal(bodies=False))
    assert other is not None
    assert (other.cursor, other.round, other.step) == (None, 2, Step(fields=("snippet",)))


def test_a_narrowed_mailbox_is_said_to_hold_only_what_is_wanted() -> None:
    less, other = goal(bodies=False), goal(snippets=False)
    assert narrower(at(), less).subset == less.described
    noted = narrower(at(subset=less.described), other)
    # More is wanted as well: what is missing has to be fetched, and now also what is left out since.
    assert begin(noted, other) is not None
    assert {step.fields for step in goal().missing(noted.subset).steps} == {("snippet", "body")}
    assert narrower(noted, other) == noted
    assert narrower(at(since=5), goal(since=7)).since == 7
    assert narrower(at(since=9), goal(since=7)).since == 9


def test_a_list_in_progress_goes_on_for_less_and_from_its_top_once_that_is_removed() -> None:
    less, steps = goal(bodies=False), steps_text([Step(folder="f1")])
    for state in (LISTING, PAUSED, FAILED):
        standing = at(state, cursor="c", listed_before=80)
        noted = narrower(standing, less)
        assert (noted.state, noted.cursor, noted.listed_before) == (state, None, 51)
        assert noted.subset == less.described
        assert narrower(noted, less, removed=True) == noted
        removed = narrower(standing, less, removed=True)
        assert (removed.state, removed.cursor, removed.listed_before) == (REGISTERED, None, None)
        for back in (goal(), less):
            found = begin(removed, back)
            assert found is not None
            assert (found.before, found.restart) == (None, True)
        added = narrower(at(state, cursor="c", adding=steps), less, removed=True)
        assert (added.state, added.cursor, added.adding) == (COMPLETE, None, None)
        assert added.subset == less.described
