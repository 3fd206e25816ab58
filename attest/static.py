"""Files of the public store from outside, by their path below a root: in a folder, or over HTTP with the standard
library. What they say is for the caller to verify; here only sizes, links and places are."""

from __future__ import annotations

import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

from attest.errors import OperatorError, VerificationError

#: No public file is larger (256 log entries of 64 KiB make 16 MiB, a chain proof 32).
MAX_FILE_BYTES = 64 << 20
#: How long a server may be silent, and how long one file may take.
TIMEOUT_SECONDS = 20.0
FILE_SECONDS = 300.0


class Reader(Protocol):
    """Gives a file's bytes by its path below a root, None if there is none."""

    def __call__(self, path: str, limit: int = MAX_FILE_BYTES) -> bytes | None:
        """Raises :class:`VerificationError` for a file of more than ``limit`` bytes."""


def is_url(text: str) -> bool:
    """Whether ``text`` names a place on the web rather than on this disk."""
    try:
        return urlsplit(text).scheme in {"http", "https"}
    except ValueError:  # malformed after its scheme
        return text.partition(":")[0].lower() in {"http", "https"}


def shown(text: str) -> str:
    """``text`` for a message: of an address only what is no secret (no user, password or query)."""
    return re.sub(r"^([A-Za-z][A-Za-z0-9+.-]*:/+)(?:.*@)?([^?#]*).*", r"\1\2", text, flags=re.DOTALL)


def folder_files(folder: Path) -> Reader:
    """A reader of plain files below ``folder``; links are not followed. Reading raises :class:`VerificationError` for
    anything but a plain file of bounded size."""

    def read(path: str, limit: int = MAX_FILE_BYTES) -> bytes | None:
        parts = path.split("/")
        if {"", ".", ".."} & {*parts}:
            raise ValueError(f"{path!r} leaves its folder")
        place = folder
        for part in parts:
            place = place / part
            try:
                mode = place.lstat().st_mode
            except (FileNotFoundError, NotADirectoryError):
                return None
            if stat.S_ISLNK(mode):
                raise _refuse(str(place), "is a link")
        if not stat.S_ISREG(mode):
            raise _refuse(str(place), "is not a plain file")
        with place.open("rb") as file:
            return _bounded(file.read(limit + 1), limit, str(place))

    return read


def http_files(url: str, *, timeout: float = TIMEOUT_SECONDS, file_seconds: float = FILE_SECONDS) -> Reader:
    """A reader of files below ``url`` (http or https); status 404 is None, redirects are not followed.

    Raises :class:`OperatorError` for another kind of URL; reading raises it when the server does not answer in time or
    answers with another status (``fetch-failed``), and :class:`VerificationError` for a file that is too large.
    """
    # Whoever reads a folder need not wait for these.
    import http.client
    import urllib.error
    import urllib.request

    class NoRedirect(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *arguments: Any) -> None:
            return None

    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of a bracket without its other, or of a port that is none
        usable = False
    if "@" in url.partition("://")[2].partition("/")[0]:
        raise OperatorError(
            "the address has a user's name or a password in it",
            code="usage",
            reason="Public files need none, and it would be shown in messages.",
            advice="Leave out what stands before the @.",
        )
    if not usable or parts.query or parts.fragment:
        raise OperatorError(
            f"{shown(url)!r} is not an http or https address of a folder",
            code="usage",
            reason="Public files are fetched below it.",
            advice="Give an address such as https://reserves.issuer.example/attestations/2026-W47.",
        )
    opener = urllib.request.build_opener(NoRedirect)

    def read(path: str, limit: int = MAX_FILE_BYTES) -> bytes | None:
        place = f"{url.rstrip('/')}/{quote(path)}"

        def fetch() -> bytes:
            with opener.open(place, timeout=timeout) as response:
                data = bytes(response.read(limit + 1))
                if len(data) <= limit and response.length:  # what of its announced length has not come
                    raise OSError(f"cut short: {response.length} bytes are missing")
                return data

        try:
            return _bounded(_within(file_seconds, fetch), limit, place)
        except urllib.error.HTTPError as fault:
            if fault.code == 404:
                return None
            moved = fault.headers.get("Location") if 300 <= fault.code < 400 else None
            detail = f"answers HTTP {fault.code}" + (f" (moved to {moved})" if moved else "")
            raise _unreachable(place, detail) from None
        except (OSError, http.client.HTTPException, ValueError) as fault:
            reason = getattr(fault, "reason", None)
            detail = getattr(reason, "strerror", None) or str(reason or fault) or type(fault).__name__
            raise _unreachable(place, f"cannot be fetched ({detail})") from None

    return read


def files_below(place: str) -> Reader:
    """The reader for ``place``: :func:`http_files` for a URL, :func:`folder_files` for a path."""
    return http_files(place) if is_url(place) else folder_files(Path(place))


def _within(seconds: float, fetch: Callable[[], bytes]) -> bytes:
    """What ``fetch`` gives or raises; ``TimeoutError`` if that takes longer. A socket's timeout bounds each silence
    only, and a server that sends a byte now and then is never silent."""
    import threading

    done: list[bytes | Exception] = []

    def run() -> None:
        try:
            done.append(fetch())
        except Exception as fault:
            done.append(fault)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if not done:
        raise TimeoutError(f"not complete after {seconds:g} seconds")
    (result,) = done
    if isinstance(result, Exception):
        raise result
    return result


def _bounded(data: bytes, limit: int, where: str) -> bytes:
    if len(data) > limit:
        raise _refuse(where, f"has more than {limit} bytes")
    return data


def _refuse(where: str, detail: str) -> VerificationError:
    return VerificationError(
        f"{where}: {detail}",
        code="file-refused",
        reason="A public store holds plain files of bounded size.",
        advice="Fetch it again from the public store, into an empty folder.",
    )


def _unreachable(where: str, detail: str) -> OperatorError:
    return OperatorError(
        f"{where}: {detail}",
        code="fetch-failed",
        reason="What cannot be fetched cannot be checked; nothing is concluded from it.",
        advice="Check the address, or download the files another way and name their folder.",
    )
