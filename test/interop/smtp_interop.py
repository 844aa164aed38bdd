"""Mail handed to aiosmtpd, a server that is not ours.

usage: smtp_interop.py PROGRAM, which is built from smtp_interop.c.
"""
import os
import ssl
import subprocess
import sys
import tempfile
import unittest

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, SMTP

PROGRAM = sys.argv.pop(1)
LINES = [b"Subject: test", b"", b".", b"..", b".dot", b"x" * 998, b"end."]
MIME = b"".join(line + b"\r\n" for line in LINES)


class Handler:
    def __init__(self):
        self.envelopes = []

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody"):
            return "550 5.1.1 no such user"
        if address.startswith("later"):
            return "451 4.7.1 later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        self.envelopes.append(envelope)
        return "554 5.7.1 spam" if b"spam" in envelope.content else "250 taken"


class Server(Controller):
    def __init__(self, handler, **options):
        self.options = options
        super().__init__(handler, hostname="127.0.0.1", port=0)

    def factory(self):
        return SMTP(self.handler, **self.options)

    # Port 0 is the system's choice, which only the socket knows.
    def _trigger_server(self):
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


class Interop(unittest.TestCase):
    def serve(self, **options):
        handler = Handler()
        server = Server(handler, **options)
        server.start()
        self.addCleanup(server.stop)
        return handler, server.port

    def send(self, url, recipients, ca="", mime=MIME):
        done = subprocess.run([PROGRAM, url, ca, "sender@example.com", *recipients], input=mime,
                              stdout=subprocess.PIPE, timeout=60, check=False)
        return done.stdout.decode().splitlines()

    def test_delivers(self):
        handler, port = self.serve()
        lines = self.send(f"smtp://127.0.0.1:{port}",
                          ["a@example.com", "nobody@example.com", "later@example.com",
                           "b+c@example.com"])
        self.assertEqual(lines, ["accepted 4 250 taken", "permanent 3 550 5.1.1 no such user",
                                 "temporary 3 451 4.7.1 later", "accepted 4 250 taken"])
        (envelope,) = handler.envelopes
        self.assertEqual(envelope.mail_from, "sender@example.com")
        self.assertEqual(envelope.rcpt_tos, ["a@example.com", "b+c@example.com"])
        self.assertEqual(envelope.original_content, MIME)

    def test_refused_message(self):
        handler, port = self.serve()
        lines = self.send(f"smtp://127.0.0.1:{port}", ["a@example.com"],
                          mime=b"Subject: spam\r\n\r\n")
        self.assertEqual(lines, ["permanent 4 554 5.7.1 spam"])

    def test_too_large(self):
        handler, port = self.serve(data_size_limit=1000)
        (line,) = self.send(f"smtp://127.0.0.1:{port}", ["a@example.com"])
        self.assertRegex(line, "^permanent 2 552 ")
        self.assertEqual(handler.envelopes, [])

    def test_large(self):
        handler, port = self.serve()
        mime = MIME * 3000
        self.assertEqual(self.send(f"smtp://127.0.0.1:{port}", ["a@example.com"], mime=mime),
                         ["accepted 4 250 taken"])
        self.assertEqual(handler.envelopes[0].original_content, mime)

    def test_starttls_and_password(self):
        with tempfile.TemporaryDirectory() as place:
            key, certificate = os.path.join(place, "key"), os.path.join(place, "certificate")
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                            "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj", "/CN=test",
                            "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key,
                            "-out", certificate], check=True, stderr=subprocess.DEVNULL)
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(certificate, key)
            seen = []

            def authenticate(server, session, envelope, mechanism, data):
                seen.append((mechanism, data.login, data.password, session.ssl is not None))
                good = data.password == b"pass/word"
                return AuthResult(success=good, handled=good)

            handler, port = self.serve(tls_context=tls, require_starttls=True, auth_required=True,
                                       authenticator=authenticate)
            self.assertEqual(
                self.send(f"smtp://us%40er:pass%2Fword@127.0.0.1:{port}", ["a@example.com"],
                          ca=certificate),
                ["accepted 4 250 taken"])
            self.assertEqual([entry[1:] for entry in seen], [(b"us@er", b"pass/word", True)])
            self.assertEqual(handler.envelopes[0].original_content, MIME)
            (line,) = self.send(f"smtp://us%40er:wrong@127.0.0.1:{port}", ["a@example.com"],
                                ca=certificate)
            self.assertRegex(line, "^temporary 1 535 ")
            (line,) = self.send(f"smtp://127.0.0.1:{port}", ["a@example.com"], ca=certificate)
            self.assertRegex(line, "^temporary 2 530 ")
            (line,) = self.send(f"smtp://us%40er:pass%2Fword@127.0.0.1:{port}", ["a@example.com"],
                                ca="/etc/ssl/certs/ca-certificates.crt")
            self.assertRegex(line, "^temporary 1 0 ")
            self.assertEqual(len(handler.envelopes), 1)


if __name__ == "__main__":
    unittest.main()
