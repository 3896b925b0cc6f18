"""What tests are made with: servers, programs, comparisons, and how much is tried."""

from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
