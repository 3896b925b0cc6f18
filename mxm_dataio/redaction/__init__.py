"""What never reaches disk: which names are secret, and what is known to be by its value."""

from __future__ import annotations

from .interaction import Edit, Interaction
from .places import Rule
from .rules import DEFAULT, PLACEHOLDER, Redaction

__all__ = ["DEFAULT", "PLACEHOLDER", "Edit", "Interaction", "Redaction", "Rule"]
