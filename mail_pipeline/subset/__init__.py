"""What of each mailbox is mirrored at all: the file the user writes, and what it comes to for a grant."""

from mail_pipeline.subset.reading import read_subsets
from mail_pipeline.subset.resolved import EVERYTHING, Subset, Subsets

__all__ = ["EVERYTHING", "Subset", "Subsets", "read_subsets"]
