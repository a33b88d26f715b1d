"""What people see and click in the Dagster UI."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from mail_pipeline.definitions import defs
from mail_pipeline.simulator import Fault, FaultRule, Faults, MailboxSpec
from mail_pipeline_tests.ui.conftest import PATIENCE_MS, SIZE
from mail_pipeline_tests.ui.product import Product, running
from mail_pipeline_tests.ui.views import ASSETS, AssetGraph, Partitions

pytestmark = pytest.mark.browser

Take = Callable[[str], None]

_MAILBOXES = [
    MailboxSpec("google", messages=120, body_mean=300),
    MailboxSpec("imap", messages=400, body_mean=300, user_folders=2),
    MailboxSpec("microsoft", messages=60, body_mean=300),
]


@pytest.fixture(scope="module")
def product(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """The product with three accounts, whose mailboxes its sensor finds by itself."""
    with running(tmp_path_factory.mktemp("project"), _MAILBOXES) as product:
        yield product


@pytest.fixture
def page(browser: Browser, product: Product) -> Iterator[Page]:
    """A first visit: the browser keeps nothing from one test to the next."""
    with browser.new_context(base_url=product.url, viewport=SIZE) as context:
        context.set_default_timeout(PATIENCE_MS)
        yield context.new_page()


@pytest.fixture
def partitions(page: Page) -> Partitions:
    """The partitions page of `messages`, once there is a partition for every mailbox."""
    partitions = Partitions(page)
    partitions.open()
    expect(page.get_by_text(re.compile(r"^[1-9]\d* Partitions Selected$"))).to_be_visible()
    return partitions


def test_no_pop_up_greets_a_first_visitor(page: Page):
    with page.expect_response(
        lambda response: "ShouldShowNux" in (response.request.post_data or "")
    ) as asked:
        page.goto("/")

    assert asked.value.json()["data"] == {"shouldShowNux": False}
    expect(page.get_by_role("link", name="Catalog")).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_the_graph_leads_from_grants_over_folders_to_messages(page: Page, take_picture: Take):
    # So large that all of it fits in with its details.
    page.set_viewport_size(ViewportSize(width=2600, height=1500))
    graph = AssetGraph(page)
    graph.open()
    graph.fill_the_window()
    expect(graph.card("grants")).to_contain_text("Materialized")
    expect(graph.card("folders")).to_contain_text("Materialized")
    expect(graph.card("messages")).to_contain_text(re.compile(r"[1-9]\d* partitions"))

    arrows = {
        (parent.to_user_string(), node.key.to_user_string())
        for node in defs.resolve_asset_graph().asset_nodes
        for parent in node.parent_keys
        if {parent.to_user_string(), node.key.to_user_string()} <= ASSETS.keys()
    }
    assert {("grants", "folders"), ("folders", "messages"), ("messages", "mailboxes")} <= arrows
    members = {
        group: {asset for asset, of in ASSETS.items() if of == group} for group in set(ASSETS.values())
    }
    assert graph.comes_to_show(arrows, members)
    take_picture("graph")


def test_what_a_backfill_can_be_told_is_described_where_it_is_set(partitions: Partitions, take_picture: Take):
    editor = partitions.materialize().edit_config()
    editor.write("ops:\n  messages:\n    config:\n      ")

    for description, field in [
        ("Go no further back than this date", "since"),
        ("Stop each mailbox after so many pages", "max_pages"),
        ("List mailboxes that are complete again", "full_resync"),
        ("Messages per page, 1 to 200", "page_size"),
    ]:
        expect(editor.help()).to_contain_text(re.compile(rf"/\* {description}[^*]*\*/\s*{field}\?"))
    take_picture("config")


def test_one_mailbox_is_fetched_as_the_config_says_and_its_partition_tells_of_it(
    product: Product, partitions: Partitions, take_picture: Take
):
    mailbox = product.grant_id("google")
    dialog = partitions.materialize()
    editor = dialog.edit_config()
    editor.write("ops: {messages: {config: {page_size: 40}}}")
    editor.save()
    dialog.choose(mailbox)
    take_picture("launch-one")
    dialog.launch("Launch 1 run")

    partitions.show_only("Materialized")
    expect(partitions.key(mailbox)).to_be_visible()
    partitions.select(mailbox)

    expect(partitions.metadata("state")).to_have_text("complete")
    expect(partitions.metadata("messages")).to_have_text("120")
    expect(partitions.metadata("pages")).to_have_text(re.compile(r"^[3-9]$"))
    expect(partitions.metadata("oldest")).to_have_text(re.compile(r"^[A-Z][a-z]+ \d+, \d{4}, .* UTC$"))
    take_picture("metadata")


def test_a_folder_that_is_gone_is_red_among_green_ones_until_it_is_back(
    product: Product, partitions: Partitions, take_picture: Take
):
    grant = product.grant_id("imap")
    gone = FaultRule(Fault.FOLDER_GONE, "messages", grant, product.folder_id("imap", "Trash"), times=None)
    held = FaultRule(Fault.TOO_MANY_SECONDS, "messages", grant, first=6, times=None)
    product.faults.plan = Faults([gone, held])
    for key in (f"{grant}/@recent", f"{grant}/Junk", f"{grant}/Trash"):
        expect(partitions.key(key)).to_be_visible()
    take_picture("partitions-before")

    dialog = partitions.materialize()
    dialog.choose(f"{grant}/")
    take_picture("launch-grant")
    dialog.launch("Launch backfill")
    expect(partitions.count("Materializing")).to_have_text(re.compile(r"\([1-8]\)"))
    partitions.show_only("Materialized")
    expect(partitions.key(f"{grant}/Trash")).to_have_count(0)
    partitions.select(partitions.first_key(grant))
    expect(partitions.metadata("state")).to_have_text("complete")
    take_picture("partitions")

    product.faults.plan = Faults([gone])
    expect(partitions.count("Failed")).to_have_text("Failed (1)")
    expect(partitions.count("Materializing")).to_have_text("Materializing (0)")
    partitions.select(f"{grant}/Trash")
    take_picture("partitions-after")
    expect(partitions.logs()).to_contain_text(
        re.compile(
            r"1 of 9 mailboxes did not get through\. \S+/Trash \(failed\): .* answered 404 .*"
            r"It was deleted or moved, or the grant is gone: run the job refresh_accounts"
        )
    )
    take_picture("failure")

    product.faults.plan = Faults()
    partitions.open()
    dialog = partitions.materialize()
    dialog.choose_all("Failed and missing")
    dialog.launch("Launch backfill")
    expect(partitions.count("Missing")).to_have_text("Missing (0)")
    expect(partitions.count("Materializing")).to_have_text("Materializing (0)")
    expect(partitions.count("Failed")).to_have_text("Failed (0)")
    take_picture("partitions-mended")
