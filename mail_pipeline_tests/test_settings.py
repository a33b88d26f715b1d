"""What the environment says is read once, and what is wrong with it is said in full."""

from pathlib import Path

import pytest

from mail_pipeline.errors import StopRun
from mail_pipeline.settings import US_REGION, Settings


def refused(**env: str) -> str:
    with pytest.raises(StopRun) as caught:
        Settings.from_env(env)
    assert caught.value.next_step
    return str(caught.value)


def test_an_empty_environment_gives_the_defaults() -> None:
    assert Settings.from_env({}) == Settings(
        api_key="",
        api_uri=US_REGION,
        data=Path("data"),
        workers=8,
        google_units_per_second=150.0,
        min_page_interval=0.2,
        patience=900.0,
    )


def test_an_empty_variable_is_an_unset_one() -> None:
    names = (
        "NYLAS_API_KEY",
        "NYLAS_API_URI",
        "MAIL_PIPELINE_DATA",
        "MAIL_PIPELINE_DATABASE_URL",
        "MAIL_PIPELINE_ATTACHMENTS",
        "NYLAS_WEBHOOK_SECRET",
        "MAIL_PIPELINE_WORKERS",
        "MAIL_PIPELINE_GOOGLE_UNITS_PER_SECOND",
        "MAIL_PIPELINE_MIN_PAGE_INTERVAL",
        "MAIL_PIPELINE_PATIENCE",
    )
    assert Settings.from_env(dict.fromkeys(names, "")) == Settings.from_env({})


def test_white_space_around_a_value_is_no_part_of_it() -> None:
    env = {
        "NYLAS_API_URI": " http://localhost:8000/ ",
        "MAIL_PIPELINE_DATA": " /srv/mail\n",
        "MAIL_PIPELINE_DATABASE_URL": " postgresql://me@host/db",
        "MAIL_PIPELINE_ATTACHMENTS": "/srv/files ",
        "MAIL_PIPELINE_CONFIG": " mine.toml",
        "MAIL_PIPELINE_WORKERS": " ",
    }
    assert Settings.from_env(env) == Settings.from_env({name: text.strip() for name, text in env.items()})


def test_every_variable_is_read() -> None:
    assert Settings.from_env(
        {
            "NYLAS_API_KEY": " nyk_1\n",
            "NYLAS_API_URI": "http://localhost:8000/",
            "MAIL_PIPELINE_DATA": "/srv/mail",
            "MAIL_PIPELINE_DATABASE_URL": "postgresql://me@host/db",
            "MAIL_PIPELINE_ATTACHMENTS": "s3://mail/files?region=eu-west-1",
            "NYLAS_WEBHOOK_SECRET": "new,old",
            "MAIL_PIPELINE_CONFIG": "mine.toml",
            "MAIL_PIPELINE_HASH_KEY": " a key\n",
            "MAIL_PIPELINE_WORKERS": "3",
            "MAIL_PIPELINE_GOOGLE_UNITS_PER_SECOND": "62.5",
            "MAIL_PIPELINE_MIN_PAGE_INTERVAL": "0",
            "MAIL_PIPELINE_PATIENCE": "1.5",
        }
    ) == Settings(
        api_key="nyk_1",
        api_uri="http://localhost:8000",
        attachments="s3://mail/files?region=eu-west-1",
        data=Path("/srv/mail"),
        database_url="postgresql://me@host/db",
        webhook_secrets=("new", "old"),
        config=Path("mine.toml"),
        hash_key=b"a key",
        workers=3,
        google_units_per_second=62.5,
        min_page_interval=0.0,
        patience=1.5,
    )


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("MAIL_PIPELINE_WORKERS", "0", "a whole number of at least 1"),
        ("MAIL_PIPELINE_WORKERS", "2.5", "a whole number of at least 1"),
        ("MAIL_PIPELINE_WORKERS", "many", "a whole number of at least 1"),
        ("MAIL_PIPELINE_GOOGLE_UNITS_PER_SECOND", "0.5", "a number of at least 1"),
        ("MAIL_PIPELINE_GOOGLE_UNITS_PER_SECOND", "nan", "a number of at least 1"),
        ("MAIL_PIPELINE_MIN_PAGE_INTERVAL", "-0.1", "a number of at least 0"),
        ("MAIL_PIPELINE_PATIENCE", "inf", "a number of at least 0"),
        ("MAIL_PIPELINE_PATIENCE", "15 min", "a number of at least 0"),
    ],
)
def test_a_wrong_number_is_named_with_what_was_expected(name: str, text: str, expected: str) -> None:
    assert refused(**{name: text}).startswith(f"{name} is {text!r}: expected {expected}")


@pytest.mark.parametrize("uri", ["api.us.nylas.com", "ftp://api.us.nylas.com", "us"])
def test_an_address_must_be_one_of_the_web(uri: str) -> None:
    assert refused(NYLAS_API_URI=uri).startswith("NYLAS_API_URI is not a web address")


def test_what_is_not_supported_yet_is_refused_rather_than_ignored() -> None:
    assert "MAIL_PIPELINE_DATA" in refused(MAIL_PIPELINE_DATA="s3://bucket/mail")


@pytest.mark.parametrize("url", ["mysql://me:hunter2@host/db", "postgres://me:hunter2@host/db", "hunter2"])
def test_a_database_must_be_postgres(url: str) -> None:
    message = refused(MAIL_PIPELINE_DATABASE_URL=url)
    assert message.startswith("MAIL_PIPELINE_DATABASE_URL is not an address of Postgres")
    assert "hunter2" not in message


@pytest.mark.parametrize(
    ("text", "secrets"),
    [("one", ("one",)), (" one , two,", ("one", "two")), ("", ()), (" , ", ())],
)
def test_there_may_be_several_webhook_secrets(text: str, secrets: tuple[str, ...]) -> None:
    assert Settings.from_env({"NYLAS_WEBHOOK_SECRET": text}).webhook_secrets == secrets


def test_no_secret_is_in_the_repr() -> None:
    shown = repr(
        Settings(
            api_key="nyk_secret",
            webhook_secrets=("hush_secret",),
            hash_key=b"hash_secret",
            database_url="postgresql://me:my_secret@host/db",
        )
    )
    assert "secret'" not in shown
    assert "_secret" not in shown.replace("webhook_secrets", "")


def test_a_missing_key_says_where_to_get_one() -> None:
    with pytest.raises(StopRun) as caught:
        Settings().require_key()
    assert "NYLAS_API_KEY is not set" in str(caught.value)
    assert "mail-pipeline demo" in str(caught.value)
    Settings(api_key="nyk").require_key()


@pytest.mark.parametrize(
    "place",
    ["attachments", "./here", "s3://", "s3:///prefix", "gs://bucket", "s3://key:secret@bucket/prefix"],
)
def test_attachments_go_into_a_folder_or_a_bucket_without_credentials_in_its_name(place: str) -> None:
    said = refused(MAIL_PIPELINE_ATTACHMENTS=place)
    assert "MAIL_PIPELINE_ATTACHMENTS" in said
    assert "secret" not in said


def test_attachments_may_go_into_any_folder() -> None:
    assert Settings.from_env({"MAIL_PIPELINE_ATTACHMENTS": "/srv/files"}).attachments == "/srv/files"
