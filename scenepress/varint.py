"""Variable-length integers (LEB128), docs/spec/container.md section 2."""

from __future__ import annotations

from scenepress.errors import BitstreamError

Buffer = bytes | bytearray | memoryview


def write_varint(value: int) -> bytes:
    """LEB128, shortest form: 7 bits a byte, least significant first, bit 7 set on all but the last."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(data: Buffer, at: int) -> tuple[int, int]:
    """The integer at byte `at`, and the first byte after it.

    Raises:
        BitstreamError: it runs past the end, is longer than 9 bytes, or is not in the shortest form.
    """
    value = shift = 0
    for position in range(at, min(at + 9, len(data))):
        byte = data[position]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if byte == 0 and shift:
                raise BitstreamError(f"integer at byte {at} is not in its shortest form")
            return value, position + 1
        shift += 7
    raise BitstreamError(f"integer at byte {at} has no end within {min(9, len(data) - at)} bytes")


def write_signed(value: int) -> bytes:
    """The integer as zigzag: 0, -1, 1, -2, ... become 0, 1, 2, 3, ..."""
    return write_varint(2 * value if value >= 0 else -2 * value - 1)


def read_signed(data: Buffer, at: int) -> tuple[int, int]:
    """The zigzag integer at byte `at`, and the first byte after it; errors as read_varint."""
    value, at = read_varint(data, at)
    return (-(value + 1) >> 1 if value & 1 else value >> 1), at
