"""The one HTTP client for everything that custody fetches: files over HTTPS, APIs, tokens.

One request is one question: no redirects, no proxies from the environment, no cookies, no encodings, a capped body, a
deadline that a server that drips cannot outlive, and errors that never hold a secret. The connections are httpcore2's,
httpx2's own lower half (``docs/adr/0008-http-client.md`` says why).
"""

from __future__ import annotations

import base64
import logging
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from attest import secrets
from attest.config import Collection, HttpConnection
from attest.custody.document import MAX_BYTES, Document
from attest.custody.location import check_encrypted, late, provenance
from attest.errors import OperatorError, SourceError, printable
from attest.records import load_plain

if TYPE_CHECKING:
    import httpcore2

ATTEMPTS = 4
#: Seconds: the first pause, the longest, and how much chance adds.
_PAUSES = (0.25, 2.0, 0.25)
#: A connection that was idle for longer is not used again: servers close them, the first ones after 5 s.
_KEEP_SECONDS = 4.0
#: A request's total time without a connection that says otherwise: its default.
_SECONDS = 30.0
_TOKEN_BYTES = 64 * 1024
#: What a token lives that does not say for how long, and how long before its end it is not used any more.
_TOKEN_SECONDS, _TOKEN_MARGIN = 300.0, 30.0
_ERROR_BYTES, _ERROR_SHOWN = 4096, 200
#: Shorter values are no secrets, and would mask half of every message; or stand by chance in an answer.
_SECRET_LENGTH, _ECHO_LENGTH = 4, 8
_PIECE = 1 << 20
_PLAIN_HEADERS = frozenset({"accept", "content-type", "accept-language"})

#: Origin, path, query; what no URL may hold (RFC 3986, appendix A) is not in it. A fragment is not sent.
_URL = re.compile(
    r"(https?://[!$&-.0-;=@A-Z\[\]_a-z~%]+)(/[!$-;=@A-Z\[\]_a-z~]*)?(\?[!$-;=?@A-Z\[\]_a-z~]*)?(?:#.*)?", re.ASCII
)
_FETCHED = "An account can be attested only from what its custodian stated, fetched completely."
_LATER = "Run again; if it goes on, ask the custodian, or compare the location with what it documents."
_EXPIRED = (
    "The credentials or the consent may have expired or been revoked, or do not cover this account: renew them, and "
    "run `attest doctor`."
)


@dataclass(frozen=True)
class Call:
    """One request. ``url`` is absolute; what the connection adds (authentication, headers) is not in it."""

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class _PassingError(SourceError):
    """A failure that may pass. ``pause``: the seconds that the server asks for before the next attempt."""

    pause = 0.0


class _StaleError(Exception):
    """The server had closed the connection that was kept."""


class _UnauthorizedError(SourceError):
    """The server does not accept who asks."""


@dataclass(frozen=True)
class _Server:
    """Where calls go. ``named`` is the host as it stands in the header."""

    scheme: str
    host: str
    port: int
    named: str


@dataclass(frozen=True)
class _Target:
    """A call's URL, taken apart strictly. ``shown`` is the URL for messages: without query. ``sent`` is what the call
    itself sends that may be a secret."""

    server: _Server
    path: str
    shown: str
    sent: tuple[str, ...]

    @classmethod
    def of(cls, call: Call, where: str) -> _Target:
        """Raises :class:`OperatorError` (``malformed-url``) naming ``where``."""
        try:
            match = _URL.fullmatch(call.url)
            if match is None:
                raise ValueError("the URL is not https://HOST/PATH, or holds characters that must be percent-encoded")
            origin, path, query = match[1], match[2] or "/", match[3] or ""
            server = _server(origin)
        except ValueError as fault:
            raise OperatorError(
                f"{where}: {fault}",
                code="malformed-url",
                reason="A URL that can be read in two ways may reach another server than the one that was meant.",
                advice="Correct the location or token_url; credentials belong into a connection, as secret references.",
            ) from None
        sent = [value for name, value in call.headers.items() if name.lower() not in _PLAIN_HEADERS]
        sent += [value.partition(" ")[2] for value in sent]  # what follows "Bearer"
        if query:
            sent += [query[1:], *(value for _, value in parse_qsl(query[1:]))]
        return cls(server, path + query, origin + (match[2] or ""), tuple(sent))


@lru_cache(maxsize=1024)
def _server(origin: str) -> _Server:
    """What ``scheme://host[:port]`` means. Raises ``ValueError`` saying what is wrong, without repeating it."""
    if "@" in origin:
        raise ValueError("the URL carries credentials")
    try:
        parts = urlsplit(origin)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or port == 0:
        raise ValueError("the URL names no server, or a malformed port")
    check_encrypted(origin)
    usual = 443 if parts.scheme == "https" else 80
    bracketed = f"[{host}]" if ":" in host else host
    named = bracketed if port in (None, usual) else f"{bracketed}:{port}"
    return _Server(parts.scheme, host, port or usual, named)


class HttpClient:
    """Sends requests from any number of threads: connections are kept and used again, and at most
    ``limits.per_host`` (or the connection's ``max_concurrent``) requests are at one server at the same time.

    ``base`` is what file paths in connections and secret references are relative to; ``clock`` gives seconds that never
    run backwards. Secrets and certificates are read when they are first used.
    """

    def __init__(self, limits: Collection, *, base: Path, clock: Callable[[], float] = time.monotonic) -> None:
        for name in ("httpcore2", "httpx2"):  # at DEBUG and INFO they log URLs and headers, credentials and all
            logging.getLogger(name).setLevel(logging.WARNING)
        logging.getLogger("stamina").setLevel(logging.ERROR)  # every retry as a bare word, into the progress display
        self._limits = limits
        self._base = base
        self._clock = clock
        self._lock = threading.Lock()
        self._peers: dict[int, _Peer] = {}
        self._turns: dict[tuple[_Server, int], threading.BoundedSemaphore] = {}
        self._kept: dict[tuple[int, _Server], list[httpcore2.HTTPConnection]] = {}
        self._closed = False
        self._deadline = threading.local()

    def send(
        self,
        call: Callable[[], Call],
        *,
        where: str,
        connection: HttpConnection | None,
        until: float,
        limit: int = MAX_BYTES,
        repeat: bool = True,
    ) -> Document:
        """What the server answers (status 200), named by the URL without its query; the server's own dates and
        checksums are its provenance.

        ``call`` is called anew for every attempt, so that nonces and signed times are fresh; there are up to
        :data:`ATTEMPTS` if it is to ``repeat``, after connect errors, timeouts and the statuses 429, 502, 503 and 504.
        ``until`` is by the client's clock, ``limit`` in bytes. Raises :class:`SourceError` naming ``where`` and the URL
        without query, with one of the codes in ``docs/custody/http.md``, and :class:`OperatorError` for a connection
        that cannot work.
        """
        peer = self._peer(connection)
        try:
            document = self._authorized(peer, call, where, until, limit)
        except _PassingError as fault:
            if not repeat:
                raise
            document = self._again(fault, lambda: self._authorized(peer, call, where, until, limit), until)
        if peer.is_in(document):
            raise SourceError(
                f"{where}: {document.name}: the answer repeats our credentials",
                code="http-echo",
                reason="An answer is kept as evidence and may be quoted, so no secret may be in it.",
                advice="Ask the custodian for an answer without them. What is no secret belongs into public_headers.",
            )
        return document

    def secret(self, connection: HttpConnection, reference: str) -> str:
        """The value behind one of the connection's secret references, which no message will show and no answer may
        repeat. Raises :class:`OperatorError` naming the reference."""
        return self._peer(connection).secret(reference)

    def _again(self, first: _PassingError, ask: Callable[[], Document], until: float) -> Document:
        """Ask until it does not fail, at most as often as the first failure leaves attempts."""
        import stamina

        def pause(fault: Exception) -> bool | float:
            if not isinstance(fault, _PassingError) or self._clock() + max(fault.pause, _PAUSES[1]) >= until:
                return False
            return fault.pause or True

        attempts = stamina.retry_context(
            on=pause,
            attempts=ATTEMPTS,
            timeout=None,
            wait_initial=_PAUSES[0],
            wait_max=_PAUSES[1],
            wait_jitter=_PAUSES[2],
        )
        for attempt in attempts:
            with attempt:
                if attempt.num == 1:
                    raise first
                document = ask()
        return document

    def close(self) -> None:
        """Close the kept connections. A request that is under way ends at its own deadline."""
        with self._lock:
            self._closed = True
            kept = list(chain.from_iterable(self._kept.values()))
            self._kept.clear()
        for one in kept:
            one.close()

    # -- who asks ----------------------------------------------------------------------------------------------------

    def _peer(self, connection: HttpConnection | None) -> _Peer:
        with self._lock:
            peer = self._peers.get(id(connection))
            if peer is None:
                # It holds the connection, so that no other one gets its id.
                peer = self._peers[id(connection)] = _Peer(connection, self._base)
            return peer

    def _authorized(self, peer: _Peer, call: Callable[[], Call], where: str, until: float, limit: int) -> Document:
        """One attempt; a token that is refused before its time is fetched anew once."""
        connection = peer.connection
        if connection is None or connection.token_url is None:
            return self._exchange(peer, call, peer.headers(), where, until, limit)
        token, fresh = self._token(peer, connection, where, until)
        try:
            return self._exchange(peer, call, [*peer.headers(), _bearer(token)], where, until, limit)
        except _UnauthorizedError:
            if fresh:
                raise
            peer.forget(token)
            token, _ = self._token(peer, connection, where, until)
            return self._exchange(peer, call, [*peer.headers(), _bearer(token)], where, until, limit)

    def _token(self, peer: _Peer, connection: HttpConnection, where: str, until: float) -> tuple[str, bool]:
        """The access token, and whether it was issued just now (OAuth 2 client credentials, RFC 6749 section 4.4)."""
        if not peer.token_lock.acquire(timeout=max(0.0, until - self._clock())):
            raise late(f"{where}: no access token")
        try:
            if peer.token and self._clock() < peer.token_until:
                return peer.token, False
            client_id, client_secret = str(connection.client_id), peer.secret(str(connection.client_secret))
            both = f"{quote(client_id, safe='')}:{quote(client_secret, safe='')}"
            form = {"grant_type": "client_credentials"} | ({"scope": connection.scope} if connection.scope else {})
            form_call = Call(
                str(connection.token_url),
                "POST",
                {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"},
                urlencode(form).encode(),
            )
            headers = [*peer.headers(), ("Authorization", peer.basic(both))]
            asked_at = self._clock()
            try:
                answer = self._exchange(peer, lambda: form_call, headers, f"{where}: access token", until, _TOKEN_BYTES)
            except _PassingError:
                raise
            except SourceError as fault:
                if fault.code not in ("http-status", "http-unauthorized"):
                    raise
                detail = fault.message
                raise _no_token(f"{detail}: no access token was issued") from None
            token, lives = _read_token(answer, where)
            peer.token = peer.hide(token)
            peer.token_until = asked_at + max(lives - _TOKEN_MARGIN, lives / 2)
            return peer.token, True
        finally:
            peer.token_lock.release()

    # -- one exchange ------------------------------------------------------------------------------------------------

    def _exchange(
        self,
        peer: _Peer,
        call: Callable[[], Call],
        headers: list[tuple[str, str]],
        where: str,
        until: float,
        limit: int,
    ) -> Document:
        import httpcore2

        one = call()
        target = _Target.of(one, where)
        named = f"{where}: {target.shown}"
        with self._turn(peer, target, named, until) as waited:
            seconds = _SECONDS if peer.connection is None else float(peer.connection.timeout_seconds)
            self._deadline.at = min(self._clock() + seconds, until)
            try:
                if waited:  # a nonce or a signed time would be stale by now
                    one = call()
                    target = _Target.of(one, where)
                with suppress(_StaleError):
                    return self._stream(peer, one, target, headers, where, limit, kept=True)
                one = call()
                return self._stream(peer, one, _Target.of(one, where), headers, where, limit, kept=False)
            except httpcore2.TimeoutException:
                if self._clock() >= until:
                    raise late(named) from None
                raise _passing(
                    named,
                    "http-timeout",
                    f"gave no complete answer within {seconds:g} s",
                    _FETCHED,
                    "Run again later; if it is slow by nature, raise timeout_seconds of its connection.",
                ) from None
            except httpcore2.LocalProtocolError:
                raise _malformed_header(named) from None
            except (httpcore2.NetworkError, httpcore2.ProtocolError) as fault:
                raise _broken(named, fault, peer) from None

    def _stream(
        self,
        peer: _Peer,
        call: Call,
        target: _Target,
        headers: list[tuple[str, str]],
        where: str,
        limit: int,
        *,
        kept: bool,
    ) -> Document:
        """Send the call and read its answer: over a kept connection if there is one and ``kept`` allows it, or over a
        new one. Raises :class:`_StaleError` if nothing came over a kept one."""
        import httpcore2

        server = target.server
        key = (id(peer.connection), server)
        line = self._take(key) if kept else None
        stale = line is not None
        url = httpcore2.URL(scheme=server.scheme, host=server.host, port=server.port, target=target.path)
        if line is None:
            line = httpcore2.HTTPConnection(
                url.origin,
                ssl_context=peer.tls() if server.scheme == "https" else None,
                keepalive_expiry=_KEEP_SECONDS,
                network_backend=_timed(self._left),
            )
        content = call.body if call.body or call.method != "GET" else None
        named = f"{where}: {target.shown}"
        try:
            with line.stream(
                call.method, url, headers=_encoded(target, call, headers, named), content=content
            ) as response:
                stale = False
                return _answer(response, peer, target, named, limit)
        except (httpcore2.ReadError, httpcore2.WriteError, httpcore2.RemoteProtocolError) as fault:
            if stale:
                raise _StaleError from fault
            raise
        finally:
            self._keep(key, line)

    def _left(self) -> float:
        """Seconds that this thread's request still has."""
        left: float = self._deadline.at - self._clock()
        return left

    def _take(self, key: tuple[int, _Server]) -> httpcore2.HTTPConnection | None:
        while True:
            with self._lock:
                kept = self._kept.get(key)
                if not kept:
                    return None
                line = kept.pop()
            if not line.has_expired():
                return line
            line.close()

    def _keep(self, key: tuple[int, _Server], line: httpcore2.HTTPConnection) -> None:
        if line.is_available():
            with self._lock:
                if not self._closed:
                    self._kept.setdefault(key, []).append(line)
                    return
        line.close()

    @contextmanager
    def _turn(self, peer: _Peer, target: _Target, named: str, until: float) -> Iterator[bool]:
        """Holds one of the places at a server. Gives whether it had to be waited for."""
        own = None if peer.connection is None else peer.connection.max_concurrent
        places = own or self._limits.per_host
        with self._lock:
            turn = self._turns.setdefault((target.server, places), threading.BoundedSemaphore(places))
        waited = not turn.acquire(blocking=False)
        if waited and not turn.acquire(timeout=max(0.0, until - self._clock())):
            raise late(named)
        try:
            if self._clock() >= until:
                raise late(named)
            yield waited
        finally:
            turn.release()


class _Peer:
    """What one connection brings along: headers, TLS, token; each fetched once, when it is first needed."""

    def __init__(self, connection: HttpConnection | None, base: Path) -> None:
        self.connection = connection
        self.token_lock = threading.Lock()
        self.token = ""
        self.token_until = 0.0
        self._base = base
        self._lock = threading.Lock()
        self._headers: list[tuple[str, str]] | None = None
        self._tls: ssl.SSLContext | None = None
        self._secrets: set[str] = set()

    def secret(self, reference: str) -> str:
        return self.hide(secrets.resolve(reference, base=self._base).reveal())

    def hide(self, value: str) -> str:
        """``value``, which no message will show any more."""
        self._secrets.add(value)
        return value

    def basic(self, both: str) -> str:
        """Basic authentication (RFC 7617) by ``user:password``."""
        return f"Basic {self.hide(base64.b64encode(both.encode()).decode())}"

    def forget(self, token: str) -> None:
        """Do not use ``token`` again."""
        with self.token_lock:
            if self.token == token:
                self.token = ""

    def headers(self) -> list[tuple[str, str]]:
        """The headers that authenticate every request. Raises :class:`OperatorError` for a secret that is missing."""
        with self._lock:
            if self._headers is None:
                self._headers = self._authentication()
            return self._headers

    def _authentication(self) -> list[tuple[str, str]]:
        if self.connection is None:
            return []
        one = self.connection
        headers = list(one.public_headers.items())
        headers += [(name, self.secret(reference)) for name, reference in one.headers.items()]
        if one.bearer is not None:
            headers.append(_bearer(self.secret(one.bearer)))
        if one.basic_user is not None:
            both = f"{one.basic_user}:{self.secret(str(one.basic_password))}"
            headers.append(("Authorization", self.basic(both)))
        return headers

    def tls(self) -> ssl.SSLContext:
        """How https servers are verified, and the client certificate. Raises :class:`OperatorError` naming the file."""
        with self._lock:
            if self._tls is None:
                self._tls = self._context()
            return self._tls

    def _context(self) -> ssl.SSLContext:
        import httpx2

        one = self.connection
        if one is None or one.ca_file is None:
            context = httpx2.create_ssl_context(trust_env=False)
        else:
            try:
                context = ssl.create_default_context(cafile=self._base / one.ca_file)
            except (OSError, ssl.SSLError) as fault:
                raise _unusable(one.ca_file, fault) from None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if one is not None and one.client_certificate is not None:
            password = "" if one.client_key_password is None else self.secret(one.client_key_password)
            try:
                # Without a password of ours OpenSSL would ask for one at the terminal.
                context.load_cert_chain(
                    self._base / one.client_certificate, self._base / str(one.client_key), lambda: password
                )
            except (OSError, ssl.SSLError, ValueError) as fault:
                raise _unusable(f"{one.client_certificate}, {one.client_key}", fault) from None
        return context

    def is_in(self, document: Document) -> bool:
        """Whether any of the connection's secrets stands in the document, as it is or as JSON may write it."""
        values = {value.encode() for value in tuple(self._secrets) if len(value) >= _ECHO_LENGTH}
        values |= {value.replace(b"/", rb"\/") for value in values}
        longest = max(map(len, values), default=0)
        before = b""
        with document.open() as file:
            while longest and (piece := before + file.read(_PIECE)) != before:
                if any(value in piece for value in values):
                    return True
                before = piece[-longest:]
        return False

    def mask(self, text: str, sent: tuple[str, ...]) -> str:
        """``text`` without anything that was sent to authenticate."""
        masked = {*self._secrets, *sent}
        for value in sorted(masked, key=len, reverse=True):
            if len(value) >= _SECRET_LENGTH:
                text = text.replace(value, "***")
        return text


def _encoded(target: _Target, call: Call, headers: list[tuple[str, str]], named: str) -> list[tuple[bytes, bytes]]:
    """All headers of a request: the connection's win over the call's."""
    always = [("User-Agent", "attest"), ("Accept", "*/*")]
    ours = [("Host", target.server.named), ("Accept-Encoding", "identity")]
    sent = {name.lower(): (name, value) for name, value in (*always, *call.headers.items(), *headers, *ours)}
    try:
        return [(name.encode("ascii"), value.encode("ascii")) for name, value in sent.values()]
    except UnicodeEncodeError:
        raise _malformed_header(named) from None


def _answer(response: httpcore2.Response, peer: _Peer, target: _Target, named: str, limit: int) -> Document:
    """The body of a good answer, or the refusal of another one."""
    headers = {name.lower().decode("ascii"): value.decode("latin-1") for name, value in response.headers}
    if response.status != 200:
        raise _refusal(response, headers, peer, target, named)
    length = headers.get("content-length")
    if length is None and headers.get("transfer-encoding") is None:
        raise SourceError(
            f"{named}: the answer does not say how long it is",
            code="http-broken",
            reason="An answer that ends with its connection may have been cut off anywhere.",
            advice="Ask the custodian for a server that sends Content-Length or chunks (HTTP/1.1).",
        )

    def chunks() -> Iterator[bytes]:
        size = 0
        if length is not None and int(length) > limit:
            raise _too_large(named, limit)
        for chunk in response.iter_stream():
            size += len(chunk)
            if size > limit:
                raise _too_large(named, limit)
            yield chunk

    facts = provenance(date=headers.get("date"), etag=headers.get("etag"), last_modified=headers.get("last-modified"))
    # Until it is complete, its name is also whose it is.
    document = Document(named, chunks(), limit=limit, provenance=facts)
    document.name = target.shown
    return document


def _refusal(
    response: httpcore2.Response, headers: Mapping[str, str], peer: _Peer, target: _Target, named: str
) -> SourceError:
    """The error of an answer that is none."""
    import httpcore2

    said = ""
    with suppress(httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException):
        data = b""
        for chunk in response.iter_stream():
            data += chunk
            if len(data) >= _ERROR_BYTES:
                break
        text = " ".join(peer.mask(data[:_ERROR_BYTES].decode("utf-8", "replace"), target.sent).split())
        said = "".join(char for char in text if char.isprintable())[:_ERROR_SHOWN]
    status = response.status
    quoted = f" ({said})" if said else ""
    if status in (401, 403):
        return _UnauthorizedError(
            f"{named}: refuses our credentials with status {status}{quoted}",
            code="http-unauthorized",
            reason=_FETCHED,
            advice=_EXPIRED,
        )
    if 300 <= status < 400:
        return SourceError(
            f"{named}: redirects elsewhere (status {status})",
            code="http-redirect",
            reason="A redirect would take credentials and trust to a server that nobody configured.",
            advice="Find out where it leads and why; if that is right, configure that address.",
        )
    if status == 404:
        return SourceError(
            f"{named}: there is nothing (status 404){quoted}",
            code="http-not-found",
            reason=_FETCHED,
            advice="Check the location, the account in it, and whether the statement was published yet.",
        )
    if status == 429 or status >= 500:
        pause = _retry_after(headers)
        asks = "" if pause is None else f", and asks to wait {pause:g} s"
        limited = status == 429
        kind = _PassingError if status in (429, 502, 503, 504) else SourceError
        fault = kind(
            f"{named}: {'takes no more requests now' if limited else 'fails'} (status {status}){asks}{quoted}",
            code="http-rate-limited" if limited else "http-server-error",
            reason=_FETCHED,
            advice="Run again later, and lower max_concurrent of its connection." if limited else _LATER,
        )
        if isinstance(fault, _PassingError):
            fault.pause = pause or 0.0
        return fault
    return SourceError(
        f"{named}: answers with status {status}{quoted}", code="http-status", reason=_FETCHED, advice=_LATER
    )


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait (RFC 9110 section 10.2.3); a date is counted from the server's own."""
    text = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        wait = parsedate_to_datetime(text) - parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, TypeError):
        return None
    return max(0.0, wait.total_seconds())


def _read_token(answer: Document, where: str) -> tuple[str, float]:
    """The token and the seconds that it lives (RFC 6749 section 5.1)."""
    named = f"{where}: {answer.name}"
    plain: Any = load_plain(answer.read(_TOKEN_BYTES), named, SourceError)
    token = plain.get("access_token") if isinstance(plain, dict) else None
    if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token):
        raise _no_token(f"{named}: the answer has no access_token")
    if str(plain.get("token_type", "bearer")).lower() != "bearer":
        raise _no_token(f"{named}: the token is not a bearer token")
    lives = plain.get("expires_in", _TOKEN_SECONDS)
    if isinstance(lives, str) and re.fullmatch(r"[0-9]{1,9}", lives):
        lives = int(lives)  # some servers write it so
    if isinstance(lives, bool) or not isinstance(lives, int | float):
        raise _no_token(f"{named}: expires_in is not a number of seconds")
    return token, float(lives)


def _bearer(token: str) -> tuple[str, str]:
    return "Authorization", f"Bearer {token}"


# -- refusals --------------------------------------------------------------------------------------------------------


def _passing(named: str, code: str, detail: str, reason: str, advice: str) -> _PassingError:
    return _PassingError(f"{named}: {detail}", code=code, reason=reason, advice=advice)


def _too_large(named: str, limit: int) -> SourceError:
    return SourceError(
        f"{named}: the answer is larger than {limit:,} bytes",
        code="http-too-large",
        reason="So much is not a statement of balances; reading on could exhaust this machine.",
        advice="Ask for a balance report, or for fewer days and accounts at once.",
    )


def _no_token(message: str) -> SourceError:
    return SourceError(
        message,
        code="http-token",
        reason="Without an access token the custodian tells nothing.",
        advice="Check token_url, client_id, client_secret and scope of the connection; the secret may have expired.",
    )


def _malformed_header(named: str) -> OperatorError:
    return OperatorError(
        f"{named}: a header's value holds characters that no header may have",
        code="malformed-header",
        reason="A line break in a header would make two requests of one.",
        advice="Check the connection's secrets for line breaks and characters that are not ASCII.",
    )


def _unusable(files: str, fault: Exception) -> OperatorError:
    detail = getattr(fault, "reason", None) or getattr(fault, "strerror", None) or type(fault).__name__
    return OperatorError(
        f"{files}: cannot be used for TLS ({detail})",
        code="tls-files",
        reason="Without them the server cannot be verified, or does not know who asks.",
        advice="They are PEM files, the certificate's chain first; check the paths and the key's password.",
    )


def _broken(named: str, fault: Exception, peer: _Peer) -> SourceError:
    """The error of an exchange that did not come to an end."""
    import httpcore2

    cause = fault.__cause__
    if isinstance(cause, ssl.SSLError):
        detail = getattr(cause, "verify_message", "") or str(cause.reason or "").replace("_", " ").lower()
        return SourceError(
            f"{named}: no trusted TLS connection ({detail or 'broken off'})",
            code="http-tls",
            reason="Without a verified certificate anybody could have answered.",
            advice=_mutual(peer)
            or "The server's certificate or its chain has to be mended, or ca_file named if the authority is private.",
        )
    if isinstance(fault, httpcore2.ConnectError):
        detail = getattr(cause, "strerror", None) or str(cause or fault)
        return _passing(named, "http-unreachable", f"cannot be reached ({printable(detail)})", _FETCHED, _LATER)
    if isinstance(fault, httpcore2.NetworkError):
        return SourceError(
            f"{named}: the connection broke off",
            code="http-unreachable",
            reason=_FETCHED,
            advice=_mutual(peer) or _LATER,
        )
    return SourceError(
        f"{named}: the answer broke off or is not HTTP",
        code="http-broken",
        reason="An answer that was cut off may have lost what matters.",
        advice=_LATER,
    )


def _mutual(peer: _Peer) -> str:
    """The advice where a client certificate was shown: servers that refuse one often just hang up."""
    if peer.connection is None or peer.connection.client_certificate is None:
        return ""
    return "The server may not accept the client certificate: see whether it has expired, or is not registered there."


# -- a deadline that holds for every byte ----------------------------------------------------------------------------


def _timed(left: Callable[[], float]) -> httpcore2.NetworkBackend:
    """The network, where no operation takes longer than ``left()`` seconds. Time-outs of the library itself are per
    read, and a server that sends a byte now and then outlives those."""
    import httpcore2

    def seconds() -> float:
        remaining = left()
        if remaining <= 0:
            raise httpcore2.ReadTimeout("the request's time is over")
        return remaining

    class Stream(httpcore2.NetworkStream):
        def __init__(self, inner: httpcore2.NetworkStream) -> None:
            self._inner = inner

        def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
            return self._inner.read(max_bytes, seconds())

        def write(self, buffer: bytes, timeout: float | None = None) -> None:
            self._inner.write(buffer, seconds())

        def close(self) -> None:
            self._inner.close()

        def start_tls(
            self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
        ) -> httpcore2.NetworkStream:
            return Stream(self._inner.start_tls(ssl_context, server_hostname, seconds()))

        def get_extra_info(self, info: str) -> Any:
            return self._inner.get_extra_info(info)

    class Backend(httpcore2.SyncBackend):
        def connect_tcp(
            self,
            host: str,
            port: int,
            timeout: float | None = None,
            local_address: str | None = None,
            socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
        ) -> httpcore2.NetworkStream:
            return Stream(super().connect_tcp(host, port, seconds(), local_address, socket_options))

    return Backend()
