import pytest

from mail_pipeline.addresses import canonical


@pytest.mark.parametrize(
    ("given", "address", "domain"),
    [
        (" Ann.Lee@Example.ORG ", "ann.lee@example.org", "example.org"),
        ("ann+shop@example.org", "ann+shop@example.org", "example.org"),
        ("Ann+shop@outlook.com", "ann@outlook.com", "outlook.com"),
        ("a.n.n@outlook.com", "a.n.n@outlook.com", "outlook.com"),
        ("A.n.n+x+y@googlemail.com", "ann@gmail.com", "gmail.com"),
        ("+tag@gmail.com", "+tag@gmail.com", "gmail.com"),
        ("ann@bücher.example", "ann@xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("ann@BÜCHER.example", "ann@xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("ann@☃\u200d..example", "ann@☃\u200d..example", "☃\u200d..example"),
        ('"a@b"@example.org', '"a@b"@example.org', "example.org"),
        ("Ann\0@example\0.org", "ann\ufffd@example\ufffd.org", "example\ufffd.org"),
        ("Undisclosed recipients", "undisclosed recipients", None),
        ("", None, None),
        ("  ", None, None),
        (None, None, None),
    ],
)
def test_two_spellings_of_one_mailbox_become_one_and_two_people_never(given, address, domain):
    assert canonical(given) == (address, domain)
    assert canonical(address) == (address, domain)
