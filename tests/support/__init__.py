"""What tests are made with: servers, programs, comparisons, and how much is tried."""
