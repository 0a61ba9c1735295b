"""The ``ghostnet`` command: parses, calls the library, prints."""
