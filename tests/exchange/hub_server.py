"""The few calls of the Hugging Face Hub that pushing and loading take, on loopback, in memory."""

import base64
from collections.abc import Iterator
import contextlib
import hashlib
import http.server
import json
import re
import threading
from typing import Any, NamedTuple
import urllib.parse

TOKEN = "hf_right"
REFUSAL = "Invalid credentials in Authorization header"
Files = dict[str, bytes]


class Repository(NamedTuple):
  """commits: {sha: {file: content}}; refs: {branch: sha}; messages: of commits, in order."""

  private: bool
  commits: dict[str, Files]
  refs: dict[str, str]
  messages: list[str]

  def commit(self, branch: str, files: Files, message: str) -> str:
    content = repr((len(self.commits), sorted(files.items()))).encode()
    sha = hashlib.sha1(content).hexdigest()
    self.commits[sha], self.refs[branch] = files, sha
    self.messages.append(message)
    return sha


def repository(private: bool = False, files: Files | None = None) -> Repository:
  made = Repository(private, {}, {}, [])
  made.commit("main", {".gitattributes": b"", **(files or {})}, "initial commit")
  return made


class Hub(NamedTuple):
  """Its address, and {"user/name": repository}."""

  url: str
  repositories: dict[str, Repository]


class Refused(Exception):
  """An answer of (status, X-Error-Code, X-Error-Message)."""


class Handler(http.server.BaseHTTPRequestHandler):
  """Speaks for `repositories`, a field of classes made of this one."""

  repositories: dict[str, Repository]
  protocol_version = "HTTP/1.1"

  def log_message(self, *_: Any) -> None:
    """Silent."""

  def _answer(self) -> None:
    size = int(self.headers.get("Content-Length") or 0)
    body, path = self.rfile.read(size), urllib.parse.unquote(self.path.partition("?")[0])
    try:
      token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
      if token not in ("", TOKEN):
        raise Refused(401, "", REFUSAL)
      for pattern, answer in ROUTES:
        found = re.fullmatch(pattern, path)
        if found:
          return self._send(200, *answer(self.repositories, bool(token), body, *found.groups()))
      raise Refused(404, "", f"no route {path}")
    except Refused as refused:
      status, code, message = refused.args
      self._send(status, b"", {"X-Error-Code": code, "X-Error-Message": message})

  do_GET = do_POST = do_HEAD = _answer

  def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
    self.send_response(status)
    for name, value in {"Content-Length": str(len(content)), **headers}.items():
      self.send_header(name, value)
    self.end_headers()
    self.wfile.write(b"" if self.command == "HEAD" else content)


Answer = tuple[bytes, dict[str, str]]
Repositories = dict[str, Repository]


def _json(value: Any) -> Answer:
  return json.dumps(value).encode(), {"Content-Type": "application/json"}


def _find(repositories: Repositories, known: bool, name: str, revision: str) -> tuple:
  """(repository, sha), of what may be seen."""
  there = repositories.get(name)
  if not there or there.private and not known:
    raise Refused(404 if known else 401, "RepoNotFound", "Repository not found")
  sha = there.refs.get(revision, revision)
  if sha not in there.commits:
    raise Refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")
  return there, sha


def _info(repositories: Repositories, known: bool, _: bytes, name: str, revision: str) -> Answer:
  there, sha = _find(repositories, known, name, revision or "main")
  files = [{"rfilename": file} for file in there.commits[sha]]
  return _json({"id": name, "private": there.private, "sha": sha, "siblings": files})


def _create(repositories: Repositories, known: bool, body: bytes) -> Answer:
  asked = json.loads(body)
  name = f"{asked['organization']}/{asked['name']}"
  repositories[name] = repository(asked.get("private") or asked.get("visibility") == "private")
  return _json({"url": f"https://huggingface.co/{name}"})


def _branch(repositories: Repositories, known: bool, _: bytes, name: str, branch: str) -> Answer:
  there, sha = _find(repositories, known, name, "main")
  if branch in there.refs:
    raise Refused(409, "", "Reference already exists")
  there.refs[branch] = sha
  return _json({})


def _preupload(repositories: Repositories, known: bool, body: bytes, *_: str) -> Answer:
  files = [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
           for file in json.loads(body)["files"]]
  return _json({"files": files})


def _commit(repositories: Repositories, known: bool, body: bytes, name: str, branch: str) -> Answer:
  there, sha = _find(repositories, known, name, branch)
  files, message = dict(there.commits[sha]), ""
  for line in map(json.loads, body.splitlines()):
    value = line["value"]
    if line["key"] == "header":
      message = value["summary"]
    elif line["key"] == "file":
      files[value["path"]] = base64.b64decode(value["content"])
    else:
      assert line["key"] == "deletedFile"
      del files[value["path"]]
  sha = there.commit(branch, files, message)
  return _json({"commitUrl": f"https://huggingface.co/{name}/commit/{sha}", "commitOid": sha})


def _file(
    repositories: Repositories, known: bool, _: bytes, name: str, revision: str, file: str
) -> Answer:
  there, sha = _find(repositories, known, name, revision)
  if file not in there.commits[sha]:
    raise Refused(404, "EntryNotFound", "Entry not found")
  content = there.commits[sha][file]
  return content, {"X-Repo-Commit": sha, "ETag": f'"{hashlib.sha1(content).hexdigest()}"'}


NAME = r"([^/]+/[^/]+)"
ROUTES = (
    (r"/api/repos/create", _create),
    (r"/api/validate-yaml", lambda *_: _json({"errors": [], "warnings": []})),
    (rf"/api/models/{NAME}(?:/revision/(.+))?", _info),
    (rf"/api/models/{NAME}/branch/(.+)", _branch),
    (rf"/api/models/{NAME}/preupload/(.+)", _preupload),
    (rf"/api/models/{NAME}/commit/(.+)", _commit),
    (rf"/{NAME}/resolve/([^/]+)/(.+)", _file),
)


@contextlib.contextmanager
def serve() -> Iterator[Hub]:
  """A Hub that has nothing yet."""
  handler = type("Bound", (Handler,), {"repositories": {}})
  with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Hub(f"http://127.0.0.1:{server.server_port}", handler.repositories)
    server.shutdown()
