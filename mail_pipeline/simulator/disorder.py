"""What deliveries suffer on their way, decided by a seed."""

from dataclasses import dataclass

from mail_pipeline.simulator.seeds import stable_share


@dataclass(frozen=True)
class Disorder:
    """Shares, 0 to 1, of the notifications that each thing happens to; without arguments nothing does."""

    seed: int = 0
    reorder: float = 0.0
    """Sent at any place among those that are due at the same time."""
    duplicate: float = 0.0
    """Sent twice under the same envelope id."""
    again: float = 0.0
    """Sent twice, the second time under an id of its own."""
    merge: float = 0.0
    """As Gmail's and Graph's upserts: an updated follows the created, or a created stands for the updated."""
    drop: float = 0.0
    """Lost for ever."""
    delay: float = 0.0
    """Sent `delay_seconds` later."""
    delay_seconds: float = 60.0

    def hits(self, knob: str, *what: str | int) -> bool:
        """Return whether the thing a knob stands for happens to what is named so."""
        share: float = getattr(self, knob)
        return share > 0 and self.draw(knob, *what) < share

    def draw(self, *what: str | int) -> float:
        """Return a number in [0, 1) that follows from the seed."""
        return stable_share("disorder", self.seed, *what)
