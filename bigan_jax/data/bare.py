"""A picture file without what describes it: for metadata that Pillow stumbles over."""

PNG = b"\x89PNG\r\n\x1a\n"
PNG_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")  # what pixels need
SCAN, JPEG = 0xDA, b"\xff\xd8"
JFIF, ADOBE, LAST_APP, COMMENT = 0xE0, 0xEE, 0xEF, 0xFE  # ADOBE says how colours are stored.


def picture(encoded: bytes) -> bytes:
  """The file without texts, profiles and EXIF.

  Raises:
    ValueError: it is neither a PNG nor a JPEG, or has none of these.
  """
  if encoded.startswith(PNG):
    kept = _png(encoded)
  elif encoded.startswith(JPEG):
    kept = _jpeg(encoded)
  else:
    raise ValueError("neither a PNG nor a JPEG")
  if kept == encoded:
    raise ValueError("no metadata")
  return kept


def _png(encoded: bytes) -> bytes:
  parts, start = [PNG], len(PNG)
  while start + 8 <= len(encoded):
    end = start + 12 + int.from_bytes(encoded[start:start + 4], "big")
    if encoded[start + 4:start + 8] in PNG_CHUNKS:
      parts.append(encoded[start:end])
    start = end
  return b"".join(parts)


def _jpeg(encoded: bytes) -> bytes:
  parts, start = [JPEG], len(JPEG)
  while start + 4 <= len(encoded) and encoded[start] == 0xFF and encoded[start + 1] != SCAN:
    kind = encoded[start + 1]
    end = start + 2 + int.from_bytes(encoded[start + 2:start + 4], "big")
    described = JFIF <= kind <= LAST_APP and kind not in (JFIF, ADOBE) or kind == COMMENT
    parts += [] if described else [encoded[start:end]]
    start = end
  return b"".join([*parts, encoded[start:]])
