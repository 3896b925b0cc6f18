"""What is promised of the store, put to the test by attack: `make trust`."""
