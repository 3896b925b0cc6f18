"""Bodies as files under their checksum."""
