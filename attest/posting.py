"""HTTP POST to servers that are not trusted: to nodes, signers, witnesses and time-stamping authorities."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import ssl
    from threading import Event

    import httpx2

#: 200 headers of full blocks are some 6 MB, 1000 state proofs some 10 MB.
MAX_BODY_BYTES = 32 * 2**20
#: How the failure of a server begins that was asked for more than it can answer.
TOO_SLOW = "no complete answer within"
TOO_LARGE = "the answer is larger than"


@dataclass(frozen=True)
class Reply:
    """An HTTP answer: its status and its whole body, as sent."""

    status: int
    body: bytes


class TransportFault(Exception):  # noqa: N818 - a fact about one exchange, which the caller turns into an error
    """No complete answer came. ``detail`` never holds the URL; ``again`` says whether a read may be tried again."""

    def __init__(self, detail: str, *, again: bool) -> None:
        super().__init__(detail)
        self.detail = detail
        self.again = again


class HttpTransport:
    """HTTP by httpx2: no redirects, no proxies from the environment, a capped body and a total deadline.

    httpx2's own time-outs are per read, and a server that sends a byte now and then outlives them; so each request runs
    in a thread of its own that is abandoned at the deadline (``timeout`` seconds after the start).
    ``tls``: how https servers are verified, if not by the public certificate authorities. ``transport`` is httpx2's
    own, for tests.
    """

    def __init__(
        self,
        timeout: float,
        *,
        content_type: str = "application/json",
        max_body_bytes: int = MAX_BODY_BYTES,
        tls: ssl.SSLContext | None = None,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self._timeout = timeout
        self._content_type = content_type
        self._max_body_bytes = max_body_bytes
        self._tls = tls
        self._transport = transport
        self._clients: dict[str, httpx2.Client] = {}

    def _client(self, url: str) -> httpx2.Client:
        import httpx2

        scheme = urlsplit(url).scheme
        if scheme not in self._clients:
            logging.getLogger("httpx2").setLevel(logging.WARNING)  # at INFO it logs URLs, credentials and all
            self._clients[scheme] = httpx2.Client(
                timeout=self._timeout,
                follow_redirects=False,
                trust_env=False,
                transport=self._transport,
                # Reading the certificate authorities takes 0.2 s, which plain http (a node next door) has no use for.
                verify=self._tls or scheme != "http",
                # An encoding would let a small body unpack into a large one.
                headers={"Content-Type": self._content_type, "Accept-Encoding": "identity"},
            )
        return self._clients[scheme]

    def post(self, url: str, body: bytes) -> Reply:
        """Post a body and wait for the whole answer. Raises :class:`TransportFault`."""
        from queue import Empty, SimpleQueue
        from threading import Event, Thread

        outcome: SimpleQueue[Reply | Exception] = SimpleQueue()
        abandoned = Event()

        def work() -> None:
            try:
                outcome.put(self._exchange(url, body, abandoned))
            except Exception as fault:
                outcome.put(fault)

        Thread(target=work, daemon=True).start()
        try:
            result = outcome.get(timeout=self._timeout)
        except Empty:
            abandoned.set()
            raise TransportFault(f"{TOO_SLOW} {self._timeout:g} s", again=True) from None
        if isinstance(result, Exception):
            raise result
        return result

    def _exchange(self, url: str, body: bytes, abandoned: Event) -> Reply:
        import httpx2

        received = bytearray()
        try:
            with self._client(url).stream("POST", url, content=body) as response:
                for chunk in response.iter_raw():
                    received += chunk
                    if len(received) > self._max_body_bytes:
                        raise TransportFault(f"{TOO_LARGE} {self._max_body_bytes} bytes", again=False)
                    if abandoned.is_set():
                        raise TransportFault("abandoned", again=False)
                return Reply(response.status_code, bytes(received))
        except httpx2.TimeoutException:
            raise TransportFault(f"{TOO_SLOW} {self._timeout:g} s", again=True) from None
        except httpx2.ConnectError as fault:
            raise TransportFault(f"{type(fault).__name__}: {fault}", again=True) from None
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, ValueError) as fault:
            # Its text may quote the URL; its kind is enough.
            raise TransportFault(f"the exchange broke off ({type(fault).__name__})", again=False) from None
