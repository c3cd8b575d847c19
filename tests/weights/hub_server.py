"""A model hub on the loopback interface: a real HTTP server that answers as the hub does, and keeps what it was asked.

It speaks what `huggingface_hub` asks for when it looks up a model and downloads files: `GET /api/models/ID` (also with
`/revision/REVISION`), and `HEAD` and `GET /ID/resolve/REVISION/FILE`, with the hub's headers, error codes, redirects of
renamed models, and a second address for large files, to which no token may go. And what it asks for when it uploads
files: `POST /api/repos/create`, `/api/models/ID/branch/NAME`, `/preupload/REVISION` and `/commit/REVISION`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import pytest
from huggingface_hub import constants, file_download

TOKEN = "hf_the_right_one"


class Request(NamedTuple):
    """What the server was asked for; `path` is short, "main/config.json" for a file."""

    method: str
    path: str
    authorization: str | None
    span: str | None  # the Range header

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass
class Repository:
    """A model on the hub: commits, and the branches, tags and pull requests that name them."""

    files: Mapping[str, bytes]  # of the main branch
    others: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)  # of other branches
    private: bool = False
    gated: bool = False
    large: tuple[str, ...] = ()  # names of files that lie at the second address
    moved_to: str | None = None

    def __post_init__(self) -> None:
        self.messages: list[str] = []  # of the commits that were uploaded
        self.revisions: dict[str, str] = {}
        self.commits: dict[str, Mapping[str, bytes]] = {}
        for name, files in {"main": self.files, **self.others}.items():
            self.push(name, files)

    def push(self, branch: str, files: Mapping[str, bytes]) -> str:
        """Make a commit on a branch; gives its hash."""
        content = repr((branch, sorted(files.items()))).encode()
        commit = hashlib.sha1(content).hexdigest()
        self.commits[commit] = dict(files)
        self.revisions[branch] = self.revisions[commit] = commit
        return commit


class HubServer:
    """The server, from `start` to `stop`. What goes wrong is set in its attributes."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.requests: list[Request] = []
        self.cut: dict[str, int] = {}  # for files by name: how many of their next answers break off in the middle
        self.short: set[str] = set()  # files whose answer is whole, but shorter than was announced
        self.status: dict[str, int] = {}  # for beginnings of paths: the answer, whatever is asked
        self.after_lookup: Any = None  # called once, when a model has been looked up
        self._servers: list[ThreadingHTTPServer] = []

    def start(self) -> HubServer:
        """Listen on two ports: the hub's, and that of its store for large files."""
        for _ in range(2):
            server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
            server.hub = self  # type: ignore[attr-defined]
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
            self._servers.append(server)
        self.endpoint, self.store = (f"http://127.0.0.1:{server.server_port}" for server in self._servers)
        return self

    def stop(self) -> None:
        """Close both ports: the next request is refused."""
        while self._servers:
            server = self._servers.pop()
            server.shutdown()
            server.server_close()

    def add(self, name: str, files: Mapping[str, bytes], **options: Any) -> Repository:
        """Put a model on the hub."""
        self.repositories[name] = Repository(files, **options)
        return self.repositories[name]

    def asked(self) -> list[str]:
        """The requests so far, which are then forgotten."""
        asked = [str(request) for request in self.requests]
        self.requests.clear()
        return asked


@contextmanager
def running_hub(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[HubServer]:
    """A server, and the library turned to it, with an empty cache in `folder` and no token."""
    server = HubServer().start()
    monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)
    template = server.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    for module in (constants, file_download):  # early versions of the library have it in both
        monkeypatch.setattr(module, "HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(folder / "no-token"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    try:
        yield server
    finally:
        server.stop()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""

    def end_headers(self) -> None:
        """One request for each connection, so that a stopped server is gone."""
        self.send_header("Connection", "close")
        super().end_headers()

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        """What an upload asks for."""
        hub: HubServer = self.server.hub  # type: ignore[attr-defined]
        text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not text and self.headers.get("Transfer-Encoding") == "chunked":
            text = self.read_chunks()
        path = self.path.partition("?")[0]
        if path == "/api/validate-yaml":
            return self.give_json({"errors": [], "warnings": []})
        if self.note(hub, f"{'/'.join(path.split('/')[2:]) or path}"):
            return None
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.refuse(401, None, "Invalid username or password.")
        if path == "/api/repos/create":
            return self.create(hub, json.loads(text))
        name, _, rest = path.removeprefix("/api/models/").partition("/")
        owner, name, (what, revision) = name, rest.split("/")[0], [unquote(x) for x in rest.split("/")[1:]]
        repository = hub.repositories[f"{owner}/{name}"]
        if what == "branch":
            repository.push(revision, dict(repository.commits[repository.revisions["main"]]))
            return self.give_json({})
        if what == "preupload":
            files = [file["path"] for file in json.loads(text)["files"]]
            found = [{"path": file, "uploadMode": "regular", "shouldIgnore": False, "oid": None} for file in files]
            return self.give_json({"files": found})
        return self.commit(repository, f"{owner}/{name}", revision, text)

    def read_chunks(self) -> bytes:
        """A body that was sent in chunks."""
        text = b""
        while size := int(self.rfile.readline(), 16):
            text += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return text

    def create(self, hub: HubServer, asked: Mapping[str, Any]) -> None:
        """Make a repository; a name without an owner gets that of the token."""
        name = f"{asked.get('organization') or 'me'}/{asked['name']}"
        if name in hub.repositories:
            return self.give_json({"url": f"{hub.endpoint}/{name}"}, 409)
        hub.add(name, {".gitattributes": b""}, private=asked.get("private", asked.get("visibility") == "private"))
        return self.give_json({"url": f"{hub.endpoint}/{name}"})

    def commit(self, repository: Repository, name: str, revision: str, text: bytes) -> None:
        """Add the files of a commit to a branch."""
        lines = [json.loads(line) for line in text.splitlines()]
        repository.messages.append(lines[0]["value"]["summary"])
        files = {line["value"]["path"]: base64.b64decode(line["value"]["content"]) for line in lines[1:]}
        oid = repository.push(revision, {**repository.commits[repository.revisions[revision]], **files})
        endpoint = self.server.hub.endpoint  # type: ignore[attr-defined]
        self.give_json({"commitUrl": f"{endpoint}/{name}/commit/{oid}", "commitOid": oid, "success": True})

    def give_json(self, content: Any, status: int = 200) -> None:
        """Answer with JSON."""
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def answer(self) -> None:
        hub: HubServer = self.server.hub  # type: ignore[attr-defined]
        path = self.path.partition("?")[0]
        if path == "/api/agent-harnesses":  # the library's own business
            return self.refuse(404, "")
        if path.startswith("/store/"):
            return self.give_large(hub, unquote(path.removeprefix("/store/")))
        if path.startswith("/api/models/"):
            name, _, revision = path.removeprefix("/api/models/").partition("/revision/")
            return self.look_up(hub, unquote(name), unquote(revision) or "main")
        name, _, rest = path.removeprefix("/").partition("/resolve/")
        revision, _, file = rest.partition("/")  # a slash inside a revision is quoted
        return self.resolve(hub, unquote(name), unquote(revision), unquote(file))

    def note(self, hub: HubServer, path: str) -> bool:
        """Keep the request; True where it is to be refused, which is done."""
        request = Request(self.command, path, self.headers.get("Authorization"), self.headers.get("Range"))
        hub.requests.append(request)
        status = next((status for start, status in hub.status.items() if path.startswith(start)), None)
        if status is not None:
            self.refuse(status, "Error", "it is not well")
        return status is not None

    def find(self, hub: HubServer, name: str, revision: str) -> tuple[Repository, str] | None:
        """The model and the commit; None where it was refused."""
        token = self.headers.get("Authorization")
        if token not in (None, f"Bearer {TOKEN}"):
            return self.refuse(401, None, "Invalid credentials in Authorization header")
        found = hub.repositories.get(name)
        if found is not None and found.moved_to is not None:
            self.send_response(307)
            self.send_header("Location", self.path.replace(name, found.moved_to, 1))
            self.end_empty()
            return None
        if found is None or (found.private and token is None):
            # Who is not known is not told whether it exists.
            status = 401 if token is None else 404
            return self.refuse(status, "RepoNotFound", "Repository not found")
        if revision not in found.revisions:
            return self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return found, found.revisions[revision]

    def look_up(self, hub: HubServer, name: str, revision: str) -> None:
        if self.note(hub, f"info {revision}") or (found := self.find(hub, name, revision)) is None:
            return
        repository, commit = found
        info = {
            "_id": "1",
            "id": name,
            "modelId": name,
            "sha": commit,
            "private": repository.private,
            "gated": "manual" if repository.gated else False,
            "siblings": [{"rfilename": file} for file in repository.commits[commit]],
            "tags": [],
            "downloads": 0,
        }
        answer = json.dumps(info).encode()
        if hub.after_lookup is not None:  # before the answer is sent: the next request may come at once
            call, hub.after_lookup = hub.after_lookup, None
            call()
        self.give(answer, {"Content-Type": "application/json"})

    def resolve(self, hub: HubServer, name: str, revision: str, file: str) -> None:
        shown = "COMMIT" if len(revision) == 40 else revision
        if self.note(hub, f"{shown}/{file}") or (found := self.find(hub, name, revision)) is None:
            return None
        repository, commit = found
        if repository.gated and self.headers.get("Authorization") is None:
            return self.refuse(401, "GatedRepo", f"Access to model {name} is restricted.")
        content = repository.commits[commit].get(file)
        if content is None:
            return self.refuse(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": commit})
        headers = {"X-Repo-Commit": commit, "ETag": f'"{hashlib.sha1(content).hexdigest()}"'}
        if file in repository.large:
            self.send_response(302)
            headers |= {
                "X-Linked-Size": str(len(content)),
                "X-Linked-Etag": f'"{hashlib.sha256(content).hexdigest()}"',
                "Location": f"{hub.store}/store/{name}/{commit}/{file}",
            }
            for key, value in headers.items():
                self.send_header(key, value)
            return self.end_empty()
        return self.give(content, headers, hub, file)

    def give_large(self, hub: HubServer, place: str) -> None:
        name, commit, file = place.rsplit("/", 2)
        if not self.note(hub, f"store/{file}"):
            self.give(hub.repositories[name].commits[commit][file], {}, hub, file)

    def give(self, content: bytes, headers: Mapping[str, str], hub: HubServer | None = None, file: str = "") -> None:
        """Answer with a content, from the byte on that the request wants."""
        span = self.headers.get("Range")
        start = int(span.removeprefix("bytes=").rstrip("-")) if span else 0
        body = content[start:]
        if hub is not None and self.command == "GET" and file in hub.short:
            body = body[:-1]
        self.send_response(206 if span else 200)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(body)))
        if span:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if self.command == "HEAD":
            return
        if hub is not None and hub.cut.get(file, 0) > 0:
            hub.cut[file] -= 1
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
            return
        self.wfile.write(body)

    def refuse(
        self, status: int, code: str | None, message: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        if message:
            self.send_header("X-Error-Message", message)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.end_empty()

    def end_empty(self) -> None:
        self.send_header("Content-Length", "0")
        self.end_headers()
