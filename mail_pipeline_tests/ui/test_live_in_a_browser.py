"""What an analyst sees of mail that keeps changing, without a click."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, ViewportSize, expect

from mail_pipeline import connect
from mail_pipeline.nylas.triggers import TRIGGERS
from mail_pipeline.simulator import MailboxSpec
from mail_pipeline_tests.deep import deep
from mail_pipeline_tests.ui.conftest import PATIENCE_MS, SIZE
from mail_pipeline_tests.ui.product import Product, running

pytestmark = pytest.mark.browser

Take = Callable[[str], None]

_MAILBOXES = [
    MailboxSpec("google", messages=40, body_mean=300),
    MailboxSpec("ews", messages=40, body_mean=300),
]

_MOMENT = re.compile(r"^[A-Z][a-z]+ \d+, \d+:\d\d [AP]M$")


@pytest.fixture(scope="module")
def product(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """The product with a webhook, as nothing has landed yet."""
    with running(tmp_path_factory.mktemp("project"), _MAILBOXES) as product:
        product.simulator.webhooks.create({"trigger_types": list(TRIGGERS), "webhook_url": product.webhook})
        yield product


@pytest.fixture
def page(browser: Browser, product: Product) -> Iterator[Page]:
    with browser.new_context(base_url=product.url, viewport=SIZE) as context:
        context.set_default_timeout(PATIENCE_MS)
        yield context.new_page()


def value(page: Page, name: str) -> Locator:
    """Return a value of the metadata that is shown."""
    row = page.get_by_role("row").filter(has=page.get_by_role("cell", name=name, exact=True))
    return row.get_by_role("cell").nth(1)


def seen_as_unread(product: Product, message_id: str) -> list[tuple[bool]]:
    with connect(product.data) as lake:
        return lake.execute("SELECT unread FROM messages WHERE id = ?", [message_id]).fetchall()


@deep
def test_materializations_appear_by_themselves_as_mail_changes(
    product: Product, page: Page, take_picture: Take
):
    provider, grant = product.simulator.provider, product.grant_id("google")
    page.goto("/assets/folders?view=events")
    expect(page.get_by_text("Materialized in run")).to_be_visible()
    page.set_viewport_size(ViewportSize(width=1400, height=640))
    page.goto("/assets/message_updates?view=events")

    new = provider.arrive(grant, subject="Lunch?")
    expect(page.get_by_text("Materialized in run")).to_be_visible()
    expect(value(page, "applied_up_to")).to_have_text("1")
    expect(value(page, "by_trigger")).to_contain_text("message.created")
    assert seen_as_unread(product, new) == [(True,)]
    # One in the list, and one over what is shown of it.
    expect(page.get_by_text(_MOMENT)).to_have_count(2)

    provider.flag(grant, new, unread=False)
    expect(page.get_by_text(_MOMENT)).to_have_count(3)
    assert seen_as_unread(product, new) == [(False,)]
    provider.delete(grant, new)
    expect(page.get_by_text(_MOMENT)).to_have_count(4)
    assert seen_as_unread(product, new) == []
    take_picture("live")


@deep
def test_the_checks_say_that_everything_is_applied(page: Page, take_picture: Take):
    page.goto("/assets/message_updates?view=checks")

    expect(page.get_by_text("Passed", exact=True)).to_be_visible()
    expect(page.get_by_text("What has landed is applied.")).to_be_visible()
    take_picture("live-checks")
    for asset, checks in [
        ("mailboxes", ["mailboxes_complete", "mailboxes_covered", "no_dead_letters", "one_row_per_message"]),
        ("webhooks", ["no_gaps"]),
    ]:
        page.goto(f"/assets/{asset}?view=checks")
        expect(page.get_by_text(f"Checks ({len(checks)})")).to_be_visible()
        for check in checks:
            expect(page.get_by_text(check, exact=True).first).to_be_visible()


@deep
def test_what_a_run_can_be_told_is_described_where_it_is_set(page: Page, take_picture: Take):
    for job, asset, fields in [
        ("apply_notifications", "message_updates", ["replay"]),
        ("reconcile", "reconciliations", ["grant", "since", "days", "providers", "gaps_only"]),
    ]:
        page.goto(f"/locations/mail_pipeline/jobs/{job}/playground")
        page.locator(".CodeMirror").first.click()
        page.keyboard.press("ControlOrMeta+a")
        page.keyboard.insert_text(f"ops:\n  {asset}:\n    config:\n      ")
        for field in fields:
            expect(page.locator("body")).to_contain_text(re.compile(rf"\*/\s*{field}\?"))
        take_picture(f"config-{job}")
