"""A hub on loopback that serves the files of some folders, and can break off while it does."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """`repositories` are file contents by path, by hub name. `gets` are the files asked for; `breaks` names a file that
    breaks off in the middle; `gated` ones are refused.
    """

    daemon_threads = True

    def __init__(self, repositories: Mapping[str, Mapping[str, bytes]]) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.repositories = repositories
        self.gets: list[str] = []
        self.breaks: str | None = None
        self.gated: set[str] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def stand_in(self, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
        """Let huggingface_hub take this for its hub, and `cache` for its cache."""
        for name, value in {
            "ENDPOINT": self.url,
            "HUGGINGFACE_CO_URL_TEMPLATE": self.url + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_HUB_CACHE": str(cache),
            "HF_HUB_OFFLINE": False,
            "HF_HUB_DISABLE_XET": True,
        }.items():
            monkeypatch.setattr(huggingface_hub.constants, name, value)
        monkeypatch.setattr("time.sleep", lambda _: None)  # between its tries

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that are gone are not told of."""


@contextmanager
def hub(repositories: Mapping[str, Mapping[str, bytes]]) -> Iterator[Hub]:
    """A hub for the length of a block."""
    served = Hub(repositories)
    thread = threading.Thread(target=served.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield served
    finally:
        served.shutdown()
        thread.join()
        served.server_close()


class _Answers(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Silence."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        path = self.path.partition("?")[0]
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/(revision|tree)/([^/]+)", path):
            name, what, revision = found.groups()
            if self._refused(name, revision):
                return
            files = self.server.repositories[name]
            if what == "revision":
                self._json({"id": name, "sha": COMMIT, "siblings": [{"rfilename": file} for file in files]})
            else:
                self._json([
                    {"type": "file", "path": f, "size": len(c), "oid": _etag(c)} for f, c in files.items()
                ])  # fmt: skip
        elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            name, revision, file = found.groups()
            if not self._refused(name, revision):
                self._file(file, self.server.repositories[name][file], body)
        else:
            self._json({"error": "no such thing"}, 404)

    def _refused(self, name: str, revision: str) -> bool:
        if name not in self.server.repositories:
            self._json({"error": "no"}, 404, "RepoNotFound")
        elif name in self.server.gated:
            self._json({"error": "gated"}, 403, "GatedRepo")
        elif revision not in ("main", COMMIT):
            self._json({"error": "no"}, 404, "RevisionNotFound")
        else:
            return False
        return True

    def _file(self, file: str, content: bytes, body: bool) -> None:
        asked = self.headers.get("Range") if body else None
        start = int(asked.removeprefix("bytes=").partition("-")[0]) if asked else 0
        rest = content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(rest)))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("ETag", f'"{_etag(content)}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if not body:
            return
        self.server.gets.append(file)
        if self.server.breaks == file:
            rest = rest[: len(rest) // 2]
            self.close_connection = True
        self.wfile.write(rest)

    def _json(self, told: Any, status: int = 200, code: str | None = None) -> None:
        content = json.dumps(told).encode()
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _etag(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()
