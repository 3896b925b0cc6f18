"""A shared archive in an object store: sealed sessions of many roots, each pushed once.

A sealed session never changes, so its name is its transaction: what it is made of is created first,
each object only if it is not there, and the session's own small object last. That this one exists
is the commit. There is no lock, no log and no database, and pushers can't conflict.
"""

from __future__ import annotations

from .archive import Archive as Archive
from .finding import IndexUpdate as IndexUpdate
from .index import Indexed as Indexed
from .pruning import PrunedArchive as PrunedArchive
from .pulling import Pulled as Pulled
from .pushing import Pushed as Pushed
from .verification import VerifiedArchive as VerifiedArchive
