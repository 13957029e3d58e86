"""A server on 127.0.0.1 that speaks as much of the Hugging Face hub's API as models need."""

import base64
import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

LARGE = 10_000
"""Files of more bytes are LFS: sent from elsewhere, under the SHA-256 of their content."""


@dataclass
class Repo:
    """Commits, oldest first, each with all its files."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    gated: bool = False

    def commit(self, files: dict[str, bytes]) -> str:
        sha = hashlib.sha1(f"{len(self.commits)}{sorted(files)}".encode()).hexdigest()
        self.commits[sha] = files
        return sha

    @property
    def head(self) -> str:
        return list(self.commits)[-1]


@dataclass
class Hub:
    """State of a server.

    Attributes:
        repos: By name.
        asked: 'METHOD path range' of every request.
        cut: Sends this many bytes of the next large file and hangs up, once.
        broken: Where a large file is this, the answer is 500.
    """

    repos: dict[str, Repo] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    cut: int | None = None
    broken: bytes | None = None
    url: str = ""

    def add(self, name: str, folder: Path) -> str:
        """Commit a folder's files; gives the commit."""
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
        return self.repos.setdefault(name, Repo()).commit(files)

    def downloads(self) -> list[str]:
        """Requests for large files, from somewhere to their end; a look at a header is none."""
        return [line for line in self.asked if re.match(r"GET /lfs/\S+( bytes=\d+-)?$", line)]


@contextlib.contextmanager
def hub_server() -> Iterator[Hub]:
    """A server that runs for the block."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), dict(hub=hub)))
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs=dict(poll_interval=0.02), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(f"{self.command} {path} {self.headers.get('Range', '')}".strip())
        if path.startswith("/lfs/"):
            self._large(path.rsplit("/", 1)[1])
            return
        for pattern, answer in (
            (r"/api/models/([^/]+/[^/]+)()", self._info),
            (r"/api/models/([^/]+/[^/]+)/revision/(.+)", self._info),
            (r"/api/models/([^/]+/[^/]+)/tree/([^/]+)", self._tree),
            (r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self._file),
        ):
            found = re.fullmatch(pattern, path)
            if found:
                name, revision, *rest = found.groups()
                repo = self.hub.repos.get(name)
                commit = repo and self._commit(repo, revision)
                if repo is None:
                    self._send(404, error="RepoNotFound")
                elif repo.gated and "/resolve/" in path:  # what it holds is no secret
                    self._send(403, error="GatedRepo")
                elif commit is None:
                    self._send(404, error="RevisionNotFound")
                else:
                    answer(name, commit, repo.commits[commit], *rest)
                return
        self._send(404)

    def do_POST(self) -> None:
        path = urlsplit(self.path).path
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.hub.asked.append(f"POST {path}")
        if path == "/api/repos/create":
            content = json.loads(body)
            name = f"{content['organization']}/{content['name']}"
            self.hub.repos.setdefault(name, Repo()).commit({".gitattributes": b""})
            self._send(200, dict(url=f"{self.hub.url}/{name}"))
        elif path == "/api/validate-yaml":
            self._send(200, dict(errors=[], warnings=[]))
        elif path.endswith("/preupload/main"):
            files = [
                dict(path=file["path"], uploadMode="regular", shouldIgnore=False)
                for file in json.loads(body)["files"]
            ]
            self._send(200, dict(files=files))
        elif path.endswith("/commit/main"):
            self._take(re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/main", path)[1], body)
        else:
            self._send(404)

    def _take(self, name: str, body: bytes) -> None:
        repo = self.hub.repos[name]
        files = dict(repo.commits[repo.head])
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        sha = repo.commit(files)
        url = f"{self.hub.url}/{name}/commit/{sha}"
        self._send(200, dict(success=True, commitOid=sha, commitUrl=url))

    def _commit(self, repo: Repo, revision: str) -> str | None:
        if revision in ("", "main"):
            return repo.head
        return revision if revision in repo.commits else None

    def _info(self, name: str, commit: str, files: dict[str, bytes]) -> None:
        siblings = [dict(rfilename=path, size=len(content)) for path, content in files.items()]
        self._send(200, dict(id=name, sha=commit, siblings=siblings, private=False, gated=False))

    def _tree(self, name: str, commit: str, files: dict[str, bytes]) -> None:
        entries = []
        for path, content in files.items():
            entry = dict(type="file", oid=_git_id(content), size=len(content), path=path)
            if len(content) > LARGE:
                entry["lfs"] = dict(oid=_sha256(content), size=len(content), pointerSize=130)
            entries.append(entry)
        self._send(200, entries)

    def _file(self, name: str, commit: str, files: dict[str, bytes], path: str) -> None:
        content = files.get(path)
        if content is None:
            self._send(404, error="EntryNotFound")
            return
        headers = {"X-Repo-Commit": commit, "ETag": f'"{_git_id(content)}"'}
        if len(content) > LARGE:
            sha = _sha256(content)
            headers |= {"X-Linked-ETag": f'"{sha}"', "X-Linked-Size": str(len(content))}
            elsewhere = self.hub.url.replace("127.0.0.1", "localhost")  # the client tells it from the hub
            headers["Location"] = f"{elsewhere}/lfs/{name}/{sha}"
            self._send(302, headers=headers)
        else:
            self._send(200, content, headers=headers)

    def _large(self, sha: str) -> None:
        contents = [
            c for r in self.hub.repos.values() for files in r.commits.values() for c in files.values()
        ]
        content = next(c for c in contents if len(c) > LARGE and _sha256(c) == sha)
        if self.hub.broken == content:
            self._send(500)
            return
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        first = int(found[1]) if found else 0
        last = int(found[2]) if found and found[2] else len(content) - 1
        part = content[first : last + 1]
        headers = {"ETag": f'"{sha}"', "Accept-Ranges": "bytes"}
        if found:
            headers["Content-Range"] = f"bytes {first}-{first + len(part) - 1}/{len(content)}"
        cut = None
        if not (found and found[2]):
            cut, self.hub.cut = self.hub.cut, None
        self._send(206 if found else 200, part, headers=headers, sent=cut)
        if cut is not None:
            self.close_connection = True

    def _send(
        self,
        status: int,
        content: object = b"",
        *,
        headers: dict[str, str] | None = None,
        error: str | None = None,
        sent: int | None = None,
    ) -> None:
        """An answer; of its body only ``sent`` bytes, if that is given."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        if error:
            self.send_header("X-Error-Code", error)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:sent])


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _git_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
