"""Pages within pages that a reader moves."""
