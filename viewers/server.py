"""A small web server for the viewer: the app, a list of scenes, the scenes in ranges, and nothing else."""

from __future__ import annotations

import dataclasses
import errno
import functools
import hashlib
import os
import re
import socket
import threading
from collections.abc import Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from scenepress.errors import FormatError
from scenepress.files import PathLike
from scenepress.scene import Camera
from scenepress.viewers import scenes

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".press": "application/octet-stream",
}
FIRST_PORT, PORTS = 8600, 100
"""Where a free port is looked for, so that an address stays the same from one day to the next."""
LOOPBACK = ("localhost", "127.0.0.1", "::1")
BLOCK = 1 << 18
FOREVER, ASK = "public, max-age=31536000, immutable", "no-cache"


@dataclasses.dataclass(frozen=True)
class Resource:
    """Something that can be asked for."""

    content: Path | bytes
    kind: str
    """The media type."""
    caching: str = ASK

    def tag(self) -> str:
        """Changes with the content."""
        if isinstance(self.content, bytes):
            return self._digest
        about = self.content.stat()
        return f'"{about.st_mtime_ns:x}-{about.st_size:x}"'

    @functools.cached_property
    def _digest(self) -> str:
        assert isinstance(self.content, bytes)
        # Once: a scene comes in many ranges, each with its tag.
        return f'"{hashlib.blake2b(self.content, digest_size=12).hexdigest()}"'


class Server:
    """Serves the viewer until close(). One thread a request; the files are read as they are asked for.

    with Server(["scene.press", "scene.ply"]) as server:
        print(server.url)
    """

    def __init__(
        self,
        files: Sequence[PathLike],
        *,
        host: str = "127.0.0.1",
        port: int | None = None,
        cameras: Sequence[Camera] = (),
    ) -> None:
        """Read the scenes and start to listen.

        Args:
            files: scenes to show; two and more are compared. Those of other formats are converted, without loss.
            host: a name or address of this machine. Others than loopback make the scenes readable to whoever
                reaches it.
            port: None: the first free one from 8600 on; 0: any.
            cameras: places to look from, in RDF, as camera files have them.

        Raises:
            FormatError, BitstreamError, OSError: a scene cannot be read, or the port is taken.
            FileNotFoundError: the viewer is not built.
        """
        held = scenes.named_apart(files)
        self._resources = _resources(held, cameras)
        self._listener = _listen(host, port, self._resources)
        address = self._listener.server_address
        name = f"[{host}]" if ":" in host else host
        self.url = f"http://{name}:{address[1]}/"
        self._thread = threading.Thread(target=self._listener.serve_forever, name="viewer", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Until the server ends, or the thread that calls is interrupted."""
        while self._thread.is_alive():
            self._thread.join(0.5)

    def close(self) -> None:
        """Stop serving; the port is free afterwards."""
        self._listener.shutdown()
        self._listener.server_close()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _resources(held: Sequence[scenes.Shown], cameras: Sequence[Camera]) -> dict[str, Resource]:
    found = {
        f"/{name}": Resource(
            path, TYPES.get(path.suffix, "application/octet-stream"), FOREVER if "assets/" in name else ASK
        )
        for name, path in scenes.app_files().items()
    }
    found["/"] = found["/index.html"]
    urls = []
    for number, scene in enumerate(held):
        path = f"/scenes/{number}/{scene.name}"
        found[path] = Resource(scene.content, TYPES[".press"])
        urls.append((scene.label, "." + quote(path)))
    found["/scenes.json"] = Resource(scenes.listing(urls, cameras), TYPES[".json"])
    return found


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    # Frees the port of a server that has ended; on Windows it would share that of a living one.
    allow_reuse_address = os.name != "nt"

    def __init__(self, address: tuple[str, int], resources: dict[str, Resource], loopback: bool) -> None:
        self.resources = resources
        self.loopback = loopback
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that goes away in the middle of an answer is no error."""


def _listen(host: str, port: int | None, resources: dict[str, Resource]) -> _Listener:
    loopback = host in LOOPBACK
    if port is not None:
        try:
            return _Listener((host, port), resources, loopback)
        except OSError as error:
            raise OSError(error.errno, f"cannot listen: {error.strerror}", f"{host}:{port}") from None
    for candidate in range(FIRST_PORT, FIRST_PORT + PORTS):
        try:
            return _Listener((host, candidate), resources, loopback)
        except socket.gaierror as error:
            raise OSError(error.errno, f"not an address of this machine: {error.strerror}", host) from None
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise OSError(error.errno, f"not an address of this machine: {error.strerror}", host) from None
            last = error
    raise OSError(last.errno, f"no free port of {FIRST_PORT} to {candidate}: {last.strerror}", host)


class _Handler(BaseHTTPRequestHandler):
    server: _Listener
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "scenepress", ""
    timeout = 60

    def do_GET(self) -> None:
        """Answer with a resource or a part of it."""
        self._answer(body=True)

    def do_HEAD(self) -> None:
        """The same without the bytes."""
        self._answer(body=False)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: who watches the terminal does not look for requests."""

    def _answer(self, body: bool) -> None:
        if self.server.loopback and not _is_loopback(self.headers.get("Host", "")):
            # A page elsewhere that has its own name lead here must not read scenes.
            self._refuse(HTTPStatus.FORBIDDEN)
            return
        try:
            resource = self.server.resources.get(unquote(urlsplit(self.path).path))
        except ValueError:  # Of an address that is none.
            resource = None
        if resource is None:
            self._refuse(HTTPStatus.NOT_FOUND)
            return
        try:
            self._send(resource, body)
        except (ConnectionError, TimeoutError):
            self.close_connection = True
        except (OSError, FormatError):
            self._refuse(HTTPStatus.NOT_FOUND)  # The file has gone.

    def _send(self, resource: Resource, body: bool) -> None:
        tag = resource.tag()
        if self.headers.get("If-None-Match") == tag:
            self._head(HTTPStatus.NOT_MODIFIED, resource, tag, 0)
            return
        size = len(resource.content) if isinstance(resource.content, bytes) else resource.content.stat().st_size
        asked = _range_of(self.headers.get("Range"), size) if self.headers.get("If-Range", tag) == tag else None
        if asked == ():
            self.send_response(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            self.send_header("Content-Range", f"bytes */{size}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start, end = asked or (0, size)
        self._head(
            HTTPStatus.PARTIAL_CONTENT if asked else HTTPStatus.OK, resource, tag, end - start, (start, end, size)
        )
        if body:
            self._copy(resource.content, start, end)

    def _head(
        self,
        status: HTTPStatus,
        resource: Resource,
        tag: str,
        length: int,
        part: tuple[int, int, int] | None = None,
    ) -> None:
        self.send_response(status)
        self.send_header("ETag", tag)
        self.send_header("Cache-Control", resource.caching)
        self.send_header("X-Content-Type-Options", "nosniff")
        if status != HTTPStatus.NOT_MODIFIED:
            self.send_header("Content-Type", resource.kind)
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(length))
        if status == HTTPStatus.PARTIAL_CONTENT and part:
            self.send_header("Content-Range", f"bytes {part[0]}-{part[1] - 1}/{part[2]}")
        self.end_headers()

    def _copy(self, content: Path | bytes, start: int, end: int) -> None:
        if isinstance(content, bytes):
            self.wfile.write(memoryview(content)[start:end])
            return
        with open(content, "rb") as stream:
            stream.seek(start)
            left = end - start
            while left and (block := stream.read(min(BLOCK, left))):
                self.wfile.write(block)
                left -= len(block)
        if left:  # The file has shrunk: what was promised does not come.
            self.close_connection = True

    def _refuse(self, status: HTTPStatus) -> None:
        message = f"{status.value} {status.phrase}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(message)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(message)


def _is_loopback(host: str) -> bool:
    name = re.sub(r":\d+$", "", host.strip().lower())
    return name.strip("[]") in LOOPBACK


def _range_of(header: str | None, size: int) -> tuple[int, int] | tuple[()] | None:
    """Start and end of the one range asked for; () if the resource has none of it; None: send everything."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", (header or "").strip())
    if match is None or match[0] == "bytes=-" or len(match[0]) > 64:
        return None
    first, last = match[1], match[2]
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < int(first):
            return None
    return (start, end) if start < end else ()
