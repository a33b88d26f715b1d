"""What a person sees and clicks in the Dagster UI, found by the words that stand there."""

import re
from contextlib import suppress
from dataclasses import dataclass

from playwright.sync_api import FloatRect, Locator, Page, TimeoutError, expect

from mail_pipeline.definitions import defs

_STATUSES = {"Failed", "Materialized", "Materializing", "Missing"}
_GROUPS = ("accounts", "mail", "live")
"""Those whose assets are drawn one by one; more would not fit in with their details."""
ASSETS = {
    spec.key.to_user_string(): spec.group_name
    for spec in defs.resolve_all_asset_specs()
    if spec.group_name in _GROUPS
}
"""Which of these groups each asset is in."""
_LAUNCH = "Launch runs to materialize messages"
_TRIES = 20
_SETTLES_MS = 1_000
_AWAY_MS = 2_000
_NEAR = 8
"""Pixels between the end of an arrow and the card it points at."""
_ENDS = """path => [0, path.getTotalLength()].map(at => {
    const end = path.getPointAtLength(at).matrixTransform(path.getScreenCTM());
    return [end.x, end.y];
})"""


@dataclass(frozen=True)
class AssetGraph:
    """The lineage of all assets, with some of its groups open."""

    page: Page

    def open(self) -> None:
        opened = ",".join(f"global@global:{group}" for group in _GROUPS)
        self.page.goto(f"/asset-groups?expanded={opened}")
        expect(self.page.get_by_role("button", name="Materialize all")).to_be_visible()

    def fill_the_window(self) -> None:
        """Put all else aside and fit the graph into the window, so that its cards show their details."""
        self.page.get_by_role("button", name="Hide navigation").click()
        panel = self.page.get_by_role("button").filter(
            has=self.page.get_by_role("img", name="panel_show_right")
        )
        panel.last.click()
        self._fit()

    def _fit(self) -> None:
        """Fit the graph into the window; it may be laid out anew at any moment."""
        size = self.page.viewport_size
        assert size is not None
        # Of what lies outside the window nothing is drawn; and before all is laid out it is not fitted in.
        for _ in range(_TRIES):
            self.page.mouse.dblclick(size["width"] / 2, size["height"] - 40)
            self.page.wait_for_timeout(_SETTLES_MS)
            if all(self.card(asset).count() for asset in ASSETS):
                return
        raise AssertionError("the graph does not come to fit into the window")

    def card(self, asset: str) -> Locator:
        # What follows the name depends on what has happened to the asset.
        return self._drawn(rf"^{asset}(?![a-z_])").last

    def comes_to_show(self, arrows: set[tuple[str, str]], members: dict[str, set[str]]) -> bool:
        """Tell whether these arrows, and these assets in each group's frame, are drawn in the end."""
        for _ in range(_TRIES):
            # While it is laid out anew, cards are away and arrows end in the void.
            with suppress(TimeoutError):
                self._fit()
                if self._arrows() == arrows and all(
                    self._members(group) == inside for group, inside in members.items()
                ):
                    return True
        return False

    def _arrows(self) -> set[tuple[str, str]]:
        cards = {asset: _box(self.card(asset)) for asset in ASSETS}
        ends = [arrow.evaluate(_ENDS) for arrow in self.page.locator("path[marker-end]").all()]
        found = ((_at(cards, *start), _at(cards, *end)) for start, end in ends)
        return {(one, other) for one, other in found if one is not None and other is not None}

    def _members(self, group: str) -> set[str]:
        frame = _box(self._drawn(rf"^{group}$").last)
        boxes = {asset: _box(self.card(asset)) for asset in ASSETS}
        return {asset for asset, box in boxes.items() if _touches(frame, *_middle(box))}

    def _drawn(self, text: str) -> Locator:
        return self.page.locator("foreignObject").filter(has_text=re.compile(text))


@dataclass(frozen=True)
class Partitions:
    """The page of the partitions of `messages`."""

    page: Page

    def open(self) -> None:
        self.page.goto("/assets/messages?view=partitions")
        expect(self.page.get_by_text("Partitions Selected")).to_be_visible()

    def count(self, status: str) -> Locator:
        """Return the box that shows or hides the partitions of a status, and says how many there are."""
        return self.page.locator("label").filter(has_text=re.compile(rf"^{status} \([\d,]+\)$"))

    def show_only(self, status: str) -> None:
        for other in sorted(_STATUSES - {status}):
            self.count(other).click()

    def key(self, partition: str) -> Locator:
        """Return a partition's place in the list: its key, shortened, over a hidden one that is whole."""
        return self.page.get_by_text(partition, exact=True).first.locator("..")

    def first_key(self, grant: str) -> str:
        return self.page.get_by_text(re.compile(rf"^{grant}/[^…]+$")).first.inner_text()

    def select(self, partition: str) -> None:
        """Show what is known of one partition."""
        self.page.goto(f"/assets/messages?view=partitions&partition={partition.replace('/', '%2F')}")
        expect(self.page.get_by_text("Metadata", exact=True)).to_be_visible()

    def metadata(self, name: str) -> Locator:
        row = self.page.get_by_role("row").filter(has=self.page.get_by_role("cell", name=name, exact=True))
        return row.get_by_role("cell").nth(1)

    def logs(self) -> Locator:
        """Show the logs of the failed run of the partition that is selected."""
        self.page.get_by_text("View logs").click()
        return self.page.get_by_role("dialog").last

    def materialize(self) -> "LaunchDialog":
        self.page.get_by_role("button", name="Materialize").first.click()
        expect(self.page.get_by_text(_LAUNCH)).to_be_visible()
        return LaunchDialog(self.page)


@dataclass(frozen=True)
class LaunchDialog:
    """Which partitions to materialize, and how."""

    page: Page

    def choose(self, text: str) -> None:
        """Take all partitions whose key holds this text."""
        self.page.get_by_text("Select a partition or create one").click()
        search = self.page.get_by_placeholder("Filter partitions")
        search.fill(text)
        self.page.get_by_text("Select all (").click()
        search.press("Escape")
        expect(search).to_be_hidden()

    def choose_all(self, status: str) -> None:
        self.page.get_by_role("button", name=status, exact=True).click()

    def launch(self, button: str) -> None:
        self.page.get_by_role("button", name=button, exact=True).click()
        expect(self.page.get_by_text(_LAUNCH)).to_be_hidden()

    def edit_config(self) -> "ConfigEditor":
        self.page.get_by_text("Config", exact=True).click()
        self.page.get_by_role("button", name="Add config").click()
        expect(self.page.get_by_text("Config Editor")).to_be_visible()
        return ConfigEditor(self.page)


@dataclass(frozen=True)
class ConfigEditor:
    """A run's configuration as YAML, beside what may stand there."""

    page: Page

    def write(self, text: str) -> None:
        self.page.locator(".CodeMirror").last.click()
        self.page.keyboard.insert_text(text)

    def help(self) -> Locator:
        """Return what may stand where the cursor is."""
        return self.page.get_by_role("dialog").last

    def save(self) -> None:
        self.page.get_by_role("button", name="Save config").click()
        expect(self.page.get_by_text("Config saved")).to_be_visible()
        # What was saved is shown, and pushes the button that launches out of the window.
        self.page.get_by_text("Config", exact=True).click()


def _box(locator: Locator) -> FloatRect:
    box = locator.bounding_box(timeout=_AWAY_MS)
    assert box is not None, locator
    return box


def _middle(box: FloatRect) -> tuple[float, float]:
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def _touches(box: FloatRect, x: float, y: float) -> bool:
    return -_NEAR < x - box["x"] < box["width"] + _NEAR and -_NEAR < y - box["y"] < box["height"] + _NEAR


def _at(cards: dict[str, FloatRect], x: float, y: float) -> str | None:
    """Return the card that a point touches, if any."""
    return next((asset for asset, box in cards.items() if _touches(box, x, y)), None)
