"""CRC-32C, the checksum of every chunk of an archive."""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t


cdef extern from "df_crc32c.h":
    void df_crc32c_prepare() noexcept nogil
    uint32_t _any "df_crc32c"(uint32_t crc, const uint8_t *at, size_t n) noexcept nogil
    uint32_t _plain "df_crc32c_plain"(uint32_t crc, const uint8_t *at, size_t n) noexcept nogil


df_crc32c_prepare()


def crc32c(const unsigned char[::1] data not None, uint32_t value=0):
    """CRC-32C of bytes, or of what came before and these bytes.

    Args:
        data: any contiguous buffer; may be empty.
        value: checksum of what came before.
    Returns:
        the checksum, 0..2**32 - 1.
    Source:
        RFC 3720 appendix B.4: the check value of "123456789" is 0xE3069283.
    """
    cdef uint32_t crc = ~value
    cdef size_t n = data.shape[0]
    if n:
        with nogil:
            crc = _any(crc, &data[0], n)
    return <uint32_t>~crc


def crc32c_plain(const unsigned char[::1] data not None, uint32_t value=0):
    """The same by tables, as on processors without the instruction.

    Args:
        data: any contiguous buffer; may be empty.
        value: checksum of what came before.
    """
    cdef uint32_t crc = ~value
    cdef size_t n = data.shape[0]
    if n:
        with nogil:
            crc = _plain(crc, &data[0], n)
    return <uint32_t>~crc
