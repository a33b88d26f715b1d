"""Contacts by source and group, with all the ways of saying nothing."""

from collections import Counter

import pytest

from mail_pipeline.simulator import PROVIDERS
from mail_pipeline.simulator.contacts import ARRAYS, SOURCES


def _truth(house, kind):
    return list(house.simulator.truth(house.grant_id(kind), "contacts"))


@pytest.mark.parametrize(
    ("kind", "sources"),
    [
        ("google", SOURCES),
        ("microsoft", SOURCES),
        ("ews", ("address_book", "domain")),
        ("imap", ("inbox",)),
        ("yahoo", ("address_book", "inbox")),
        ("icloud", ("address_book", "inbox")),
    ],
)
def test_each_provider_has_contacts_of_its_own_sources(house, kind, sources):
    assert {contact["source"] for contact in _truth(house, kind)} == set(sources)


def test_the_address_book_is_listed_unless_another_source_is_named(house):
    grant_id = house.grant_id("google")
    listed = house.api.all(grant_id, "contacts")
    assert listed == house.api.all(grant_id, "contacts", source="address_book")
    assert {contact["source"] for contact in listed} == {"address_book"}
    assert house.api.all(house.grant_id("imap"), "contacts") == []


@pytest.mark.parametrize("kind", ["imap", "icloud"])
def test_some_list_several_sources_at_once(house, kind):
    listed = house.api.all(house.grant_id(kind), "contacts", source="address_book,inbox,domain")
    assert listed == _truth(house, kind)


def test_nothing_is_said_by_null_absence_and_emptiness(house):
    contacts = [contact for kind in PROVIDERS for contact in _truth(house, kind)]
    for array in ARRAYS:
        values = {
            "absent" if array not in c else "null" if c[array] is None else bool(c[array]) for c in contacts
        }
        assert values >= {"null", True}, array
    assert {"absent", False} <= {
        "absent" if "web_pages" not in c else bool(c["web_pages"])
        for c in contacts
        if c.get("web_pages") != 0
    }
    assert any(email["email"] == "" for c in contacts for email in c.get("emails") or [])
    assert any(c["surname"] is None for c in contacts)
    assert {"updated_at" in c for c in contacts} == {True, False}


def test_the_people_in_the_mail_are_in_the_contacts(house):
    grant_id = house.grant_id("google")
    known = {email["email"] for c in _truth(house, "google") for email in c.get("emails") or []}
    writers = Counter(
        person["email"] for mail in house.simulator.truth(grant_id) for person in mail.get("from") or []
    )
    assert sum(count for address, count in writers.items() if address in known) > 10


def test_groups_are_listed_and_only_the_address_book_is_in_them(house):
    groups = house.api.all(house.grant_id("google"), "contacts/groups")
    assert {group["group_type"] for group in groups} == {"system", "user"}
    by_id = {group["id"] for group in groups}
    grouped = [contact for contact in _truth(house, "google") if contact.get("groups")]
    assert {group["id"] for contact in grouped for group in contact["groups"]} <= by_id
    assert {contact["source"] for contact in grouped} == {"address_book"}
    assert house.api.all(house.grant_id("ews"), "contacts/groups") == []


def test_a_group_is_listed_and_at_microsoft_those_in_it_on_request(house):
    grant_id = house.grant_id("microsoft")
    groups = {group["path"]: group["id"] for group in house.api.all(grant_id, "contacts/groups")}
    inner = {groups["Contacts/Suppliers"], groups["Contacts/Suppliers/Wood & Steel"]}

    def members(wanted):
        return [
            contact["id"]
            for contact in _truth(house, "microsoft")
            if wanted & {group["id"] for group in contact.get("groups") or []}
        ]

    asked = {"group": groups["Contacts/Suppliers"]}
    flat = [contact["id"] for contact in house.api.all(grant_id, "contacts", **asked)]
    deep = [contact["id"] for contact in house.api.all(grant_id, "contacts", **asked, recurse="true")]
    assert flat == members({groups["Contacts/Suppliers"]})
    assert deep == members(inner)
    assert len(deep) > len(flat) > 0


def test_a_picture_comes_on_request_where_there_is_one(house):
    grant_id = house.grant_id("google")
    pictured = next(c for c in _truth(house, "google") if c.get("picture_url"))
    plain = next(c for c in _truth(house, "google") if not c.get("picture_url"))
    found = house.api.one(grant_id, "contacts", pictured["id"], profile_picture="true").json()["data"]
    assert found.pop("picture")
    assert found == pictured
    assert house.api.one(grant_id, "contacts", plain["id"], profile_picture="true").json()["data"] == plain
