"""The server: nginx where it is installed, else a threaded one of the standard library.

``/item/…`` answers 1 KiB that no other answer has: 32 hex digits, 32 times. ``/body/…`` sends a
file by ``sendfile``. ``hits`` says how many requests have come.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import pwd
import shutil
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Protocol

REPEATS = 32
ITEM_SIZE = 32 * REPEATS

_CONFIG = """
daemon off;
worker_processes 1;
{user}
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 512; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    tcp_nodelay on;
    keepalive_requests 100000000;
    keepalive_timeout 600s;
    client_body_temp_path {folder}/client;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=512;
        default_type application/octet-stream;
        location /item/ {{ return 200 "{item}"; }}
        location /body/ {{ alias {folder}/; }}
        location = /status {{ stub_status; }}
    }}
}}
"""


class Server(Protocol):
    """What the benchmarks ask of a server."""

    name: str
    url: str

    @property
    def hits(self) -> int:
        """Requests that have come so far."""


class Nginx:
    """nginx with one worker, in a child process."""

    def __init__(self, program: str, folder: Path) -> None:
        self._asked = 0
        self.name = _version(program)
        for _ in range(5):
            port = _free_port()
            if self._start(program, folder, port):
                self.url = f"http://127.0.0.1:{port}"
                self._port = port
                return
        raise RuntimeError(f"{program} does not start")

    def _start(self, program: str, folder: Path, port: int) -> bool:
        # Started by root, its worker would be another user, who can't read the folder.
        user = f"user {pwd.getpwuid(os.geteuid()).pw_name};" if os.geteuid() == 0 else ""
        item = "$request_id" * REPEATS
        config = folder / "nginx.conf"
        config.write_text(_CONFIG.format(user=user, folder=folder, port=port, item=item))
        command = [program, "-e", "stderr", "-p", str(folder), "-c", str(config)]
        self._process = subprocess.Popen(command)
        while self._process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                return True
            time.sleep(0.02)
        return False

    @property
    def hits(self) -> int:
        """Requests that have come so far, but for those that asked."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request("GET", "/status")
            lines = connection.getresponse().read().splitlines()
        finally:
            connection.close()
        self._asked += 1
        # "server accepts handled requests", and the numbers on the next line.
        return int(lines[2].split()[2]) - self._asked

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()


class Threaded:
    """A server of the standard library, a thread for each connection."""

    name = "http.server"

    def __init__(self, folder: Path) -> None:
        self._server = _HTTPServer(("127.0.0.1", 0), _Handler)
        self._server.folder = folder
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def hits(self) -> int:
        """Requests that have come so far."""
        with self._server.lock:
            return self._server.hits

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()


class _HTTPServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    folder: Path

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.lock = threading.Lock()
        self.hits = 0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _HTTPServer

    def do_GET(self) -> None:
        with self.server.lock:
            self.server.hits += 1
        if self.path.startswith("/body/"):
            self._send_file(self.server.folder / Path(self.path).name)
            return
        body = (uuid.uuid4().hex * REPEATS).encode()
        # One write for head and body.
        self._head(len(body))
        self._headers_buffer.append(body)  # type: ignore[attr-defined]
        self.flush_headers()

    def _head(self, size: int) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(size))
        self._headers_buffer.append(b"\r\n")  # type: ignore[attr-defined]

    def _send_file(self, path: Path) -> None:
        with path.open("rb") as file:
            self._head(path.stat().st_size)
            self.flush_headers()
            self.connection.sendfile(file)

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """Run the best server there is, over the files of a folder."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    server = Nginx(program, folder) if program else Threaded(folder)
    try:
        yield server
    finally:
        server.close()


def _version(program: str) -> str:
    said = subprocess.run([program, "-v"], capture_output=True, text=True, check=True).stderr
    return said.rpartition(" ")[2].strip() or "nginx"


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
