import gc
import mailbox
from email.message import EmailMessage
from pathlib import Path

import pytest

from mail_pipeline.simulator import Fleet, Limits, Simulator
from mail_pipeline.simulator.mailboxes import truth


def _mail(number=1, *, subject="Hello", body="Some text", html=None, to="owner@fern.example", **headers):
    mail = EmailMessage()
    mail["Message-ID"] = f"<{number}/a@oak.example>"
    mail["From"] = "Ada Alder <ada@oak.example>"
    mail["To"] = to
    mail["Date"] = f"Mon, {number % 28 + 1:02d} Jan 2024 10:00:00 +0100"
    mail["Subject"] = subject
    mail.set_content(body)
    if html is not None:
        mail.add_alternative(html, subtype="html")
    for name, value in headers.items():
        del mail[name.replace("_", "-")]
        if value is not None:
            mail[name.replace("_", "-")] = value
    return mail


def _mbox(path: Path, *mails) -> Path:
    box = mailbox.mbox(path)
    for mail in mails:
        box.add(mail)
    box.close()
    return path


def _raw_mbox(path: Path, *mails: bytes) -> Path:
    path.write_bytes(
        b"".join(b"From x@oak.example Mon Jan  1 10:00:00 2024\n" + mail + b"\n\n" for mail in mails)
    )
    return path


def _only(path: Path, **options):
    fleet = Fleet.from_mail([path], **options)
    (message,) = truth(fleet.mailbox(0))
    return message


def test_an_mbox_file_is_served_as_an_inbox(tmp_path, serve):
    path = _mbox(tmp_path / "mine.mbox", *(_mail(number) for number in range(1, 26)))
    served = serve(Simulator(Fleet.from_mail([path]), limits=Limits.off()))
    (grant,) = served.api.get("/v3/grants").json()["data"]
    assert (grant["provider"], grant["email"]) == ("imap", "owner@fern.example")
    (folder,) = served.api.all(grant["id"], "folders")
    assert (folder["id"], folder["total_count"], folder["attributes"]) == ("INBOX", 25, ["\\Inbox"])
    seen = served.api.all(grant["id"], folder="INBOX", query_imap="true", limit=7)
    assert seen == list(served.simulator.truth(grant["id"]))
    assert [message["id"] for message in seen] == [f"<{number}/a@oak.example>" for number in range(25, 0, -1)]
    assert served.api.message(grant["id"], seen[0]["id"]).json()["data"] == seen[0]


def test_a_message_has_the_fields_of_the_api(tmp_path):
    mail = _mail(
        3,
        subject="Grüße",
        html="<p>Some <b>text</b></p>",
        Cc='"Birch, Ben" <ben@oak.example>, pia@oak.example',
        Reply_To="desk@oak.example",
    )
    mail.add_attachment(b"x" * 500, maintype="application", subtype="pdf", filename="Übersicht.pdf")
    message = _only(_mbox(tmp_path / "m", mail))
    assert message["subject"] == "Grüße"
    assert message["from"] == [{"name": "Ada Alder", "email": "ada@oak.example"}]
    assert message["cc"] == [{"name": "Birch, Ben", "email": "ben@oak.example"}, {"email": "pia@oak.example"}]
    assert message["reply_to"] == [{"email": "desk@oak.example"}]
    assert message["bcc"] == []
    assert message["date"] == 1_704_358_800
    assert message["body"].strip() == "<p>Some <b>text</b></p>"
    assert message["snippet"] == "Some text"
    (attachment,) = message["attachments"]
    assert (attachment["filename"], attachment["size"], attachment["is_inline"]) == (
        "Übersicht.pdf",
        500,
        False,
    )
    assert attachment["content_type"].startswith("application/pdf")


def test_html_is_preferred_and_plain_text_serves_too(tmp_path):
    assert _only(_mbox(tmp_path / "plain", _mail(body="Just text")))["body"].strip() == "Just text"
    html = "<style>p{}</style><p>Tom &amp; &lt;Jerry&gt;</p>"
    message = _only(_mbox(tmp_path / "html", _mail(html=html, body="")))
    assert message["body"].strip() == html
    assert message["snippet"] == "Tom & <Jerry>"


def test_a_mail_without_text_has_no_body(tmp_path):
    picture = b"Message-ID: <1@x>\nContent-Type: image/png\nContent-Transfer-Encoding: base64\n\naGVsbG8=\n"
    message = _only(_raw_mbox(tmp_path / "m", picture))
    assert "body" not in message
    assert message["attachments"][0]["size"] == 5


@pytest.mark.parametrize(
    "raw",
    [
        b"Subject: no date, no id, no sender\n\nhello",
        b"Message-ID: <1@x>\nDate: yesterday\nFrom: <<broken\nTo: ,,,\n\nhello",
        b"Message-ID: <2@x>\nContent-Type: text/plain; charset=klingon\n\nqapla\xff",
        b"Message-ID: <3@x>\nContent-Type: text/plain; charset=utf-8\n\nbroken \xff\xfe utf-8",
        b"Message-ID: <4@x>\nSubject: =?utf-8?q?broken=?= =?klingon?b?cQ==?= raw \xe9\n\nhello",
        b"Message-ID: <5@x>\nContent-Type: multipart/mixed; boundary=none\n\nno parts",
        b"Message-ID: <6@x>\nContent-Transfer-Encoding: base64\n\n!!!not base64!!!",
        b"Message-ID: <7@x>\nDate: Mon, 01 Jan 99999 10:00:00 +0000\n\nhello",
        b"Message-ID: <8@x>\nDate: Mon, 01 Jan 1900 10:00:00 +0000\n\nhello",
        b"\n",
        b"Message-ID: <9\xff@x>\nFrom: \xff <\xff@x>\nX-Gmail-Labels: =?utf-8?q?=FF?=\n\nhello",
    ],
)
def test_broken_mail_is_served_all_the_same(tmp_path, serve, raw):
    served = serve(Simulator(Fleet.from_mail([_raw_mbox(tmp_path / "m", raw)]), limits=Limits.off()))
    grant_id = served.grant_id("imap")
    (folder,) = served.api.all(grant_id, "folders")
    seen = served.api.all(grant_id, folder=folder["id"], query_imap="true", fields="include_headers")
    assert len(seen) == 1
    assert seen[0]["id"]
    assert seen[0]["date"] >= 0


def test_messages_without_an_id_keep_the_one_they_are_given(tmp_path):
    path = _raw_mbox(tmp_path / "m", b"Subject: one\n\na", b"Subject: two\n\nb")
    first, second = ([m["id"] for m in truth(Fleet.from_mail([path]).mailbox(0))] for _ in range(2))
    assert first == second
    assert len(set(first)) == 2


def test_a_folder_of_mbox_files_is_one_grant_with_a_folder_each(tmp_path):
    (tmp_path / "Work.sbd").mkdir()
    _mbox(tmp_path / "Inbox", _mail(1), _mail(2))
    _mbox(tmp_path / "Sent.mbox", _mail(3))
    _mbox(tmp_path / "Work.sbd" / "v1.5", _mail(1), _mail(4))
    (tmp_path / "Inbox.msf").write_text("no mail")
    (tmp_path / "empty").touch()
    mailboxes = list(Fleet.from_mail([tmp_path]))
    assert len(mailboxes) == 1
    assert [folder.id for folder in mailboxes[0].folders] == ["Inbox", "Sent", "Work/v1.5"]
    folders = {message["id"]: message["folders"] for message in truth(mailboxes[0])}
    assert folders == {
        "<1/a@oak.example>": ["Inbox", "Work/v1.5"],
        "<2/a@oak.example>": ["Inbox"],
        "<3/a@oak.example>": ["Sent"],
        "<4/a@oak.example>": ["Work/v1.5"],
    }


def test_a_maildir_has_its_folders_and_flags(tmp_path):
    maildir = mailbox.Maildir(tmp_path / "Maildir")
    read = mailbox.MaildirMessage(_mail(1))
    read.set_subdir("cur")
    read.set_flags("FS")
    maildir.add(read)
    maildir.add_folder("Sent").add(_mail(2))
    served = Fleet.from_mail([tmp_path / "Maildir"]).mailbox(0)
    assert [folder.attributes for folder in served.folders] == [("\\Inbox",), ("\\Sent",)]
    flags = {m["id"]: (m["folders"], m["unread"], m["starred"]) for m in truth(served)}
    assert flags == {
        "<1/a@oak.example>": (["INBOX"], False, True),
        "<2/a@oak.example>": (["Sent"], True, False),
    }
    assert served.counts() == {"INBOX": (1, 0), "Sent": (1, 1)}


def test_mbox_flags_and_takeout_labels_are_read(tmp_path):
    path = _mbox(
        tmp_path / "takeout.mbox",
        _mail(1, X_Gmail_Labels='Inbox,Unread,Starred,"Travel, trains"'),
        _mail(2, Status="O"),
        _mail(3, Status="RO", X_Status="F"),
        _mail(4),
    )
    served = Fleet.from_mail([path]).mailbox(0)
    assert [folder.id for folder in served.folders] == ["INBOX", "Inbox", "Travel, trains"]
    flags = [(m["folders"], m["unread"], m["starred"]) for m in truth(served)]
    assert flags == [
        (["INBOX"], False, False),
        (["INBOX"], False, True),
        (["INBOX"], True, False),
        (["Inbox", "Travel, trains"], True, True),
    ]


def test_threads_follow_the_references(tmp_path):
    path = _mbox(
        tmp_path / "m",
        _mail(1),
        _mail(2, In_Reply_To="<1/a@oak.example>"),
        _mail(3, References="<1/a@oak.example> <2/a@oak.example>"),
        _mail(4),
    )
    fourth, *others = truth(Fleet.from_mail([path]).mailbox(0))
    assert len({message["thread_id"] for message in others}) == 1
    assert fourth["thread_id"] != others[0]["thread_id"]


def test_the_date_is_when_the_last_server_received_it(tmp_path):
    mail = _mail(1, Received="from a by b; Tue, 02 Jan 2024 00:00:00 +0000")
    assert _only(_mbox(tmp_path / "m", mail))["date"] == 1_704_153_600


def test_another_provider_can_be_chosen(tmp_path):
    path = _mbox(tmp_path / "m", _mail(1))
    message = _only(path, provider="google")
    assert int(message["id"], 16)
    assert Fleet.from_mail([path], provider="google").mailbox(0).grant.provider == "google"


def test_each_path_is_a_grant_and_now_is_the_newest_message(tmp_path):
    paths = [_mbox(tmp_path / name, _mail(number)) for number, name in enumerate(("a", "b"), 1)]
    fleet = Fleet.from_mail(paths)
    assert len({box.grant.id for box in fleet}) == 2
    assert fleet.now == max(message["date"] for box in fleet for message in truth(box)) + 1
    assert Fleet.from_mail(paths, now=5).now == 5


def test_what_is_no_mail_is_an_error_that_names_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        Fleet.from_mail([tmp_path / "nowhere"])
    (tmp_path / "notes.txt").write_text("Dear diary")
    with pytest.raises(ValueError, match=r"notes\.txt is neither"):
        Fleet.from_mail([tmp_path / "notes.txt"])
    with pytest.raises(ValueError, match="neither"):
        Fleet.from_mail([tmp_path])


def test_the_files_are_not_changed_and_not_kept_open(tmp_path):
    path = _mbox(tmp_path / "m", _mail(1), _mail(2))
    path.chmod(0o444)
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    fleet = Fleet.from_mail([path])
    assert len(list(truth(fleet.mailbox(0)))) == 2
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["m"]
    del fleet
    # A file left open would be a ResourceWarning here, and warnings are errors.
    gc.collect()
