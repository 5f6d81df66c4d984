"""CRC-32C: published check values, and the instruction against the tables."""

from hypothesis import given
from hypothesis import strategies as st

from dhanfast._core.archive.crc import crc32c, crc32c_plain


def oracle(data: bytes) -> int:
    """The definition, a bit at a time."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def test_published_values() -> None:
    # RFC 3720 appendix B.4, and the catalogue's check value.
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E
    assert crc32c(b"") == 0


@given(data=st.binary(max_size=300))
def test_both_ways_agree_with_the_definition(data: bytes) -> None:
    assert crc32c(data) == crc32c_plain(data) == oracle(data)


@given(data=st.binary(max_size=100), cut=st.integers(0, 100))
def test_a_sum_in_two_parts_is_the_sum_of_the_whole(data: bytes, cut: int) -> None:
    assert crc32c(data[cut:], crc32c(data[:cut])) == crc32c(data)
    assert crc32c_plain(data[cut:], crc32c_plain(data[:cut])) == crc32c(data)
