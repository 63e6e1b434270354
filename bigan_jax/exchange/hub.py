"""Exported networks on the Hugging Face Hub: hf://USER/NAME@REVISION fetched, folders pushed.

Needs the extra `hub`. Tokens, caches, HF_HUB_OFFLINE and HF_ENDPOINT are huggingface_hub's affair.
"""

from collections.abc import Collection, Iterator
import contextlib
import json
import os
import pathlib
import re
import sys
from types import ModuleType
from typing import Any, NamedTuple

from bigan_jax.exchange import exported

SCHEME = "hf://"
LIBRARY = "bigan_jax"
CONFIG = "config.json"  # by which the Hub counts downloads, and we know our own
REFUSED = (401, 403)
Path = pathlib.Path


class Place(NamedTuple):
  """USER/NAME, and a branch, tag or commit, or None for the main branch."""

  repo: str
  revision: str | None

  def __str__(self) -> str:
    return SCHEME + self.repo + (f"@{self.revision}" if self.revision else "")


def place(name: str) -> Place:
  """Of USER/NAME or hf://USER/NAME, with @REVISION or not; ValueError if it is neither."""
  found = re.fullmatch(r"(?:hf://)?([\w-][\w.-]*/[\w-][\w.-]*)(?:@([\w./-]+))?", name, re.ASCII)
  if not found:
    raise ValueError(f"{name!r} is no name on the Hub: write USER/NAME or USER/NAME@REVISION.")
  return Place(*found.groups())


def folder(path: str | os.PathLike[str]) -> str:
  """Where an export lies: `path` itself, or where the files of hf://... lie once they are fetched.

  Raises:
    ImportError: the extra is not installed.
    ValueError: it is no name, or that of another kind of model.
    OSError: it is not there, or the Hub cannot be reached or refuses the token.
  """
  path = os.fspath(path)
  if not path.startswith(SCHEME):
    return path
  wanted, library = place(path), check_installed()
  with _one_sentence(library, wanted):
    config = Path(library.hf_hub_download(wanted.repo, CONFIG, revision=wanted.revision))
    ours = _is_ours(config)
    if ours:  # Else the weights may be many gigabytes.
      commit = config.parent.name
      return str(Path(library.hf_hub_download(wanted.repo, exported.FILE, revision=commit)).parent)
  raise ValueError(_of_another(wanted))


def push(
    folder: Path, where: Place, private: bool, message: str, known: Collection[str]
) -> str:
  """Puts an exported folder there in one commit; its address. Repository and branch are made.

  Args:
    private: nobody else may see the repository.
    message: of the commit.
    known: names of all files that an export may have: of an earlier one, no others remain.

  Raises:
    ImportError, OSError: as `folder`.
    ValueError: the repository holds something else, or is public where it is to be private.
  """
  library = check_installed()
  api, files = library.HfApi(), sorted(path for path in folder.iterdir())
  with _one_sentence(library, where):
    there = _look(library, where.repo)
    refusal = there and _refusal(library, where, there, private)
    if refusal:
      raise ValueError(refusal)
    if not there:
      api.create_repo(where.repo, private=private or None)
    if where.revision:
      api.create_branch(where.repo, branch=where.revision, exist_ok=True)
    had = api.model_info(where.repo, revision=where.revision).siblings or ()
    stale = {file.rfilename for file in had} & set(known) - {path.name for path in files}
    changes = [library.CommitOperationAdd(path.name, str(path)) for path in files]
    changes += [library.CommitOperationDelete(name) for name in sorted(stale)]
    return api.create_commit(where.repo, changes, commit_message=message, revision=where.revision)


def config(info: dict[str, Any]) -> str:
  """The text of CONFIG: what export.describe says, but for the metrics."""
  version = sys.modules[LIBRARY].__version__
  kept = {name: value for name, value in info.items() if name != "metrics"}
  return json.dumps({"library_name": LIBRARY, "library_version": version, **kept}, indent=2) + "\n"


def check_installed() -> ModuleType:
  """The package huggingface_hub; ImportError without it."""
  try:
    import huggingface_hub.errors  # Which the package alone does not bring.
  except ImportError:
    raise ImportError(
        "The Hub needs the package huggingface_hub: pip install '.[hub]'."
    ) from None
  return huggingface_hub


def _look(library: ModuleType, repo: str) -> Any | None:
  """What the Hub says of a repository; None if there is none."""
  try:
    return library.HfApi().model_info(repo)
  except library.errors.RepositoryNotFoundError:
    return None


def _refusal(library: ModuleType, where: Place, there: Any, private: bool) -> str | None:
  """Why nothing may be pushed to a repository that is there."""
  if private and not there.private:
    return (f"{where.repo} is public already: make it private on the Hub, or leave out --private.")
  names = {file.rfilename for file in there.siblings or ()}
  if CONFIG in names:
    path = library.hf_hub_download(where.repo, CONFIG, revision=there.sha)
    return None if _is_ours(Path(path)) else _of_another(where)
  return _of_another(where) if exported.FILE in names else None


def _is_ours(path: Path) -> bool:
  """Whether a CONFIG is ours."""
  try:
    return json.loads(path.read_text())["library_name"] == LIBRARY
  except (ValueError, KeyError, TypeError):
    return False


def _of_another(where: Place) -> str:
  return f"{where} is no model of bigan_jax: name one that bigan_jax.export pushed."


@contextlib.contextmanager
def _one_sentence(library: ModuleType, where: Place) -> Iterator[None]:
  """Says the errors of huggingface_hub, and of what it calls, in one sentence."""
  errors = library.errors
  try:
    yield
  except ValueError:
    raise
  except errors.RevisionNotFoundError as error:
    raise FileNotFoundError(
        f"{SCHEME}{where.repo} has no revision {where.revision!r}: name a branch, tag or commit "
        "of it."
    ) from error
  except errors.RepositoryNotFoundError as error:
    raise FileNotFoundError(
        f"There is no {SCHEME}{where.repo} that this token may see: check the name, or log in by "
        "`hf auth login` or HF_TOKEN."
    ) from error
  except errors.LocalEntryNotFoundError as error:
    raise OSError(f"{where} is not in the cache, and the Hub cannot be reached: connect to it, "
                  "and unset HF_HUB_OFFLINE.") from error
  except errors.EntryNotFoundError as error:
    raise ValueError(_of_another(where)) from error
  except errors.OfflineModeIsEnabled as error:
    raise OSError(f"{where} is not to be reached offline: unset HF_HUB_OFFLINE.") from error
  except Exception as error:  # Whatever the client of HTTP raises, which differs by version.
    response = getattr(error, "response", None)
    if getattr(response, "status_code", None) in REFUSED:
      raise OSError(f"The Hub refuses the token for {where}: log in by `hf auth login` or HF_TOKEN "
                    "with one that may do this.") from error
    reason = str(error).strip().partition("\n")[0].rstrip(".")
    raise OSError(f"The Hub could not do it ({reason}): try again, or check the connection and "
                  "HF_ENDPOINT.") from error
