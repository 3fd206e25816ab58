"""The command line as a person or a script uses it: in this process, which is fast, or in one of its own."""

from __future__ import annotations

import ctypes
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from unittest import mock

from attest.cli.main import main


@dataclass(frozen=True)
class Said:
    """How a command ended: its exit code, and what it said on stdout and stderr."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout; fails if there is none, or anything beside it."""
        return json.loads(self.out)

    @property
    def everything(self) -> str:
        return self.out + self.err


def attest(*words: object, environment: Mapping[str, str] | None = None) -> Said:
    """``attest WORDS...`` through its real entry point, in this process."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    code: object = None
    with ExitStack() as stack:
        stack.enter_context(redirect_stdout(out))
        stack.enter_context(redirect_stderr(err))
        stack.enter_context(mock.patch.dict(os.environ, environment or {}))
        try:
            main([str(word) for word in words])
        except SystemExit as ended:
            code = ended.code
    assert isinstance(code, int), f"attest {words} ended without an exit code: {code!r}"
    return Said(code, *(stream.buffer.getvalue().decode("utf-8") for stream in (out, err)))  # type: ignore[attr-defined]


def attest_process(
    *words: object, environment: Mapping[str, str] | None = None, timeout: float = 60, stdin: str = ""
) -> Said:
    """``attest WORDS...`` in a process of its own, its input and output piped."""
    ended = subprocess.run(
        [sys.executable, "-m", "attest.cli.main", *map(str, words)],
        env={**os.environ, **(environment or {})},
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        timeout=timeout,
        check=False,
    )
    return Said(ended.returncode, ended.stdout, ended.stderr)


# -- permissions that hold for root too ------------------------------------------------------------------------------

_CAPABILITY_VERSION_3 = 0x20080522
_DAC_OVERRIDE, _DAC_READ_SEARCH = 1 << 1, 1 << 2


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Capabilities(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


@contextmanager
def modes_hold() -> Iterator[None]:
    """File modes bind this thread (and those that it starts) even if it is root's: Linux's two capabilities to read and
    write whatever the mode says are laid down, and taken up again at the end."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = _CapabilityHeader(_CAPABILITY_VERSION_3, 0)
    before, without = (_Capabilities * 2)(), (_Capabilities * 2)()
    for held in (before, without):
        assert libc.capget(ctypes.byref(header), held) == 0
    without[0].effective &= ~(_DAC_OVERRIDE | _DAC_READ_SEARCH)
    assert libc.capset(ctypes.byref(header), without) == 0
    try:
        yield
    finally:
        assert libc.capset(ctypes.byref(header), before) == 0


# -- an endpoint that is none ----------------------------------------------------------------------------------------


@contextmanager
def web_server(status: int, body: bytes, content_type: str) -> Iterator[str]:
    """The URL of a server that answers everything alike."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# -- commands that run until they are ended --------------------------------------------------------------------------


@contextmanager
def running(*words: object, environment: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """``attest WORDS...`` in the background, killed at the end if the test did not end it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "attest.cli.main", *map(str, words)],
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def read_document(process: subprocess.Popen[str]) -> Any:
    """The JSON document that a running command begins with."""
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line
        if line == "}\n":
            return json.loads(text)
    raise AssertionError(f"it ended: {text}{process.stderr.read() if process.stderr else ''}")
