"""Writing so that a kill or a full disk leaves whole files, and a person one sentence."""

from collections.abc import Iterator
import contextlib
import errno
import os
import pathlib
import re
import secrets


def write_atomically(path: pathlib.Path, content: bytes) -> None:
  """A reader, or a run after a kill, sees the old file or the new one, never a part."""
  # A name of its own: two processes may write the same file at once.
  temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
  try:
    with open(temporary, "wb") as file:
      file.write(content)
      file.flush()
      os.fsync(file.fileno())
    os.replace(temporary, path)
  except OSError:
    with contextlib.suppress(OSError):
      temporary.unlink()
    raise


@contextlib.contextmanager
def one_sentence(folder: pathlib.Path, flag: str = "--workdir") -> Iterator[None]:
  """Turns an OSError met while writing to `folder`, which `flag` names, into a remedy."""
  try:
    yield
  except OSError as error:
    if error.errno is None:  # It is a sentence already.
      raise
    raise full_or_unwritable(folder, error, flag) from error


def full_or_unwritable(
    folder: pathlib.Path, error: Exception, flag: str = "--workdir"
) -> OSError:
  """The one sentence that a person sees for an `error` met while writing to `folder`."""
  code = getattr(error, "errno", None)
  if found := re.search(r"os_error_code='(\d+)'", str(error)):  # tensorstore's way to report it.
    code = int(found[1])
  if code in (errno.ENOSPC, errno.EDQUOT):
    return OSError(f"the disk of {folder} is full; what was saved before is complete: free some "
                   "space and run the same command again.")
  kind = type(error) if isinstance(error, OSError) else OSError
  reason = os.strerror(code) if code else first_line(error)
  return kind(f"cannot write to {folder} ({reason}); make it a writable folder or choose another "
              f"{flag}.")


def first_line(error: Exception) -> str:
  """What an error says, cut to a line."""
  return (str(error).splitlines() or [type(error).__name__])[0][:200]
