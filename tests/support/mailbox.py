"""A mail server on localhost that takes everything (SMTP, RFC 5321), and keeps it."""

from __future__ import annotations

import base64
from email import message_from_bytes, policy
from email.message import EmailMessage
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread


class Mailbox:
    """``messages``: what was delivered; ``passwords``: what was logged in with."""

    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []
        self.passwords: list[str] = []
        mailbox = self

        class Handler(StreamRequestHandler):
            def handle(self) -> None:
                self._say("220 here")
                while command := self._line():
                    word = command.split()[0].upper()
                    if word == "EHLO":
                        self._say("250-here\r\n250 AUTH PLAIN")
                    elif word == "AUTH":
                        mailbox.passwords.append(base64.b64decode(command.split()[-1]).decode().split("\0")[-1])
                        self._say("235 come in")
                    elif word == "DATA":
                        self._say("354 go on")
                        mailbox.messages.append(message_from_bytes(self._data(), policy=policy.default))
                        self._say("250 taken")
                    elif word == "QUIT":
                        self._say("221 goodbye")
                        return
                    else:
                        self._say("250 well")

            def _line(self) -> str:
                return self.rfile.readline().decode().strip()

            def _data(self) -> bytes:
                lines = []
                while (line := self.rfile.readline()) != b".\r\n":
                    lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
                return b"".join(lines)

            def _say(self, text: str) -> None:
                self.wfile.write(f"{text}\r\n".encode())

        self._server = ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]

    def __enter__(self) -> Mailbox:
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
