"""Read the file of an offline W&B run: protobufs in the log format of LevelDB."""

import json
import struct
import zlib
from pathlib import Path

MAGIC = b":W&B\xe1\xbe\x00"
_BLOCK = 2**15
_HEADER = struct.Struct("<IHB")
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


def records(path):
    """Yield the records of a file, up to the point where a kill cut it off.

    Raises:
      ValueError: The file is damaged before that point.
    """
    from google.protobuf.message import DecodeError
    from wandb.proto.wandb_internal_pb2 import Record

    data = Path(path).read_bytes()
    if not data.startswith(MAGIC):
        raise ValueError("not a file of W&B")
    position, parts = 7, []
    while True:
        if (left := _BLOCK - position % _BLOCK) < _HEADER.size:
            position += left
        if position + _HEADER.size > len(data):
            return
        checksum, length, kind = _HEADER.unpack_from(data, position)
        position += _HEADER.size
        body = data[position : position + length]
        if len(body) < length or not kind:
            return
        if zlib.crc32(bytes([kind]) + body) != checksum:
            raise ValueError(f"damaged at byte {position}")
        position += length
        if kind in (_FULL, _FIRST):
            parts = []
        parts.append(body)
        if kind in (_FULL, _LAST):
            try:
                yield Record.FromString(b"".join(parts))
            except DecodeError as error:
                raise ValueError(f"no record at byte {position}") from error


def rows(path):
    """Yield the logged rows as dicts, in order."""
    for record in records(path):
        if record.WhichOneof("record_type") == "history":
            yield items(record.history.item)


def items(protos):
    """Return a list of items as a dict."""
    return {
        "/".join(item.nested_key) or item.key: json.loads(item.value_json)
        for item in protos
    }
