"""Secrets: tokens that never print themselves, an encrypted store, log redaction, one owner."""
