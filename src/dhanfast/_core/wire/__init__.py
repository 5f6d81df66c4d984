"""Decoders: a broker's bytes to records, straight from the memory they arrived in."""
