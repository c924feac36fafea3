"""A stand-in for the Hugging Face hub: the calls that huggingface_hub makes, over a real socket."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """What it holds, and what it saw."""

    address: str = ""
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """By repository and name."""
    private: dict[str, bool] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)
    refuses: int = 0
    """The status that every call is answered with; 0: none."""
    breaks_blobs: bool = False
    """Whether large files are refused."""
    declared_size: int | None = None
    """What the length of a file is said to be, in place of the truth."""


@contextmanager
def running_hub() -> Iterator[Hub]:
    """A hub on a free port of this machine."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""

    def do_POST(self) -> None:
        body = self._body()
        if self._refused():
            return
        if self.path == "/api/repos/create":
            self._create(json.loads(body))
        elif self.path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif found := re.fullmatch(r"/api/models/(.+)/preupload/main", self.path):
            files = json.loads(body)["files"]
            self._json({"files": [_upload_mode(found[1], file["path"]) for file in files]})
        elif self.path.endswith(".git/info/lfs/objects/batch"):
            self._json(
                {"transfer": "basic", "objects": [self._place(o) for o in json.loads(body)["objects"]]}
            )
        elif found := re.fullmatch(r"/api/models/(.+)/commit/main", self.path):
            self._commit(found[1], body)
        else:
            raise AssertionError(f"a call that is not known: {self.path}")

    def do_PUT(self) -> None:
        body = self._body()
        name = self.path.removeprefix("/blobs/")
        if self.hub.breaks_blobs or hashlib.sha256(body).hexdigest() != name:
            self._answer(400, b"{}")
        else:
            self.hub.blobs[name] = body
            self._answer(200, b"{}")

    def do_GET(self) -> None:
        if self._refused():
            return
        found = re.fullmatch(r"/([^/]+/[^/]+)/resolve/(?:main|[0-9a-f]{40})/(.+)", self.path)
        if found is None or found[1] not in self.hub.files:
            self._answer(404, b"", {"X-Error-Code": "RepoNotFound"})
        elif found[2] not in self.hub.files[found[1]]:
            self._answer(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
        else:
            content = self.hub.files[found[1]][found[2]]
            tag = hashlib.sha256(content).hexdigest()
            more = {"ETag": f'"{tag}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
            self._answer(200, content, more)

    def do_HEAD(self) -> None:
        self.do_GET()

    def _create(self, asked: dict[str, Any]) -> None:
        repo = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
        if repo in self.hub.files:
            self._json({"url": f"{self.hub.address}/{repo}"}, 409)
            return
        self.hub.files[repo], self.hub.private[repo] = (
            {},
            asked.get("visibility") == "private" or asked.get("private", False),
        )
        self._json({"url": f"{self.hub.address}/{repo}"})

    def _place(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {**asked, "actions": {"upload": {"href": f"{self.hub.address}/blobs/{asked['oid']}"}}}

    def _commit(self, repo: str, body: bytes) -> None:
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                self.hub.files[repo][value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                self.hub.files[repo][value["path"]] = self.hub.blobs[value["oid"]]
        page = f"{self.hub.address}/{repo}/commit/{COMMIT}"
        self._json({"success": True, "commitOid": COMMIT, "commitUrl": page, "hookOutput": ""})

    def _body(self) -> bytes:
        self.hub.tokens.add(self.headers.get("Authorization", ""))
        if self.headers.get("Transfer-Encoding") == "chunked":
            return b"".join(iter(self._chunk, b""))
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _chunk(self) -> bytes:
        chunk = self.rfile.read(int(self.rfile.readline(), 16))
        self.rfile.readline()
        return chunk

    def _refused(self) -> bool:
        if self.hub.refuses:
            self._answer(self.hub.refuses, json.dumps({"error": "no"}).encode())
        return bool(self.hub.refuses)

    def _json(self, value: dict[str, Any], status: int = 200) -> None:
        self._answer(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _answer(self, status: int, body: bytes, more: dict[str, str] | None = None) -> None:
        size = self.hub.declared_size if self.command == "HEAD" and self.hub.declared_size else len(body)
        self.send_response(status)
        for key, value in {**(more or {}), "Content-Length": str(size)}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _upload_mode(repo: str, path: str) -> dict[str, Any]:
    large = path.endswith((".safetensors", ".png"))
    return {"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}
