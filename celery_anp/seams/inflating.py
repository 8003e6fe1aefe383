"""How large a compressed body becomes, found out without holding it: 1.1 kB of bz2 can be 4.4 GB.

Each method is unpacked piece by piece and thrown away, until it ends or is too much. Limit: a method that somebody
registered with kombu himself is kombu's to unpack, whole.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from kombu import compression

#: Bytes that are unpacked at a time, and that a method may need for itself.
PIECE, ROOM = 1 << 20, 128 << 20
#: Bytes that are given at a time to a method whose output has no limit: each may become a megabyte.
SIP = 8
#: The names that kombu gives to each method.
NAMES = {
    "application/x-gzip": "zlib", "gzip": "zlib", "zlib": "zlib",
    "application/x-bz2": "bz2", "bzip2": "bz2", "bzip": "bz2",
    "application/x-lzma": "lzma", "lzma": "lzma", "xz": "lzma",
    "application/zstd": "zstd", "zstd": "zstd", "zstandard": "zstd",
    "application/x-brotli": "brotli", "brotli": "brotli",
}  # fmt: skip


def is_at_most(packed: bytes, method: str, most: int) -> bool:
    """Whether a body is at most so large when it is unpacked.

    Args:
        packed: the compressed body.
        method: its method, as the header `compression` names it.
        most: bytes.

    Raises:
        KeyError: kombu knows no such method.
        Exception: it is not compressed so; each method has errors of its own.
    """
    compression.get_decoder(method)
    if method not in NAMES:
        return True
    size = 0
    for piece in PIECES[NAMES[method]](packed):
        size += len(piece)
        if size > most:
            return False
    return True


def _measured(packed: bytes, make: Callable[[], Any]) -> Iterator[bytes]:
    """The pieces of one stream after the other, each of which has a limit."""
    while packed:
        stream = make()
        piece = stream.decompress(packed, PIECE)
        while piece and not stream.eof:
            yield piece
            piece = stream.decompress(getattr(stream, "unconsumed_tail", b""), PIECE)  # zlib keeps nothing itself
        yield piece
        packed = stream.unused_data  # none where it is cut off, as kombu will find out


def _zstd(packed: bytes) -> Iterator[bytes]:
    """Of one frame after the other."""
    library: Any = compression.zstd
    while packed:
        stream = library.ZstdDecompressor()
        stream = stream.decompressobj() if hasattr(stream, "decompressobj") else stream
        start = 0
        while start < len(packed) and not stream.eof:
            yield stream.decompress(packed[start : start + SIP])
            start += SIP
        packed = (stream.unused_data or b"") + packed[start:] if stream.eof else b""


def _brotli(packed: bytes) -> Iterator[bytes]:
    stream = compression.brotli.Decompressor()
    for start in range(0, len(packed), SIP):
        yield stream.process(packed[start : start + SIP])


PIECES: dict[str, Callable[[bytes], Iterator[bytes]]] = {
    "zlib": lambda packed: _measured(packed, zlib.decompressobj),
    "bz2": lambda packed: _measured(packed, bz2.BZ2Decompressor),
    "lzma": lambda packed: _measured(packed, lambda: lzma.LZMADecompressor(memlimit=ROOM)),
    "zstd": _zstd,
    "brotli": _brotli,
}
