"""What of each mailbox is mirrored at all: the file the user writes, and what it comes to for a grant."""

from mail_pipeline.subset.reading import read_subsets
from mail_pipeline.subset.resolved import Subset, Subsets

__all__ = ["Subset", "Subsets", "read_subsets"]
