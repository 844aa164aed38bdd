"""The mail room beside Python's email package and smtplib: mail_interop.py PROGRAM

Python parses what we write, and sends to what we listen on.
"""
import email
import email.header
import email.message
import email.policy
import email.utils
import json
import random
import shutil
import smtplib
import socket
import subprocess
import sys
import tempfile
import unittest

PROGRAM = sys.argv.pop(1)

BREAKS = "".join(map(chr, range(32))) + "\x7f" + "".join(map(chr, range(0x80, 0xA0))) + "\u2028\u2029"
ALPHABET = (
    list("abcXYZ019 ") * 4
    + list("=?_\"\\<>@,;:()[].-'!#")
    + ["é", "ß", "你", "好", "\U0001f600", "\u200f", "\u00a0", "=?UTF-8?Q?x?=", "  ", "Bcc: a@b.test"]
)


class Mime:
    """The writer, which answers one message after another."""

    def __init__(self):
        self.process = subprocess.Popen([PROGRAM, "mime"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def write(self, name="", sender="no-reply@example.org", to="", subject="s", text="t", html="", value=""):
        for field in (name, sender, to, subject, text, html, value):
            data = field.encode()
            self.process.stdin.write(b"%d\n%s" % (len(data), data))
        self.process.stdin.flush()
        outcome, size = self.process.stdout.readline().split()
        return int(outcome), self.process.stdout.read(int(size))

    def close(self):
        self.process.stdin.close()
        status = self.process.wait(10)
        self.process.stdout.close()
        return status


def lines_of(text):
    """A text as a reader gets it: every line ended by a newline."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text if text == "" or text.endswith("\n") else text + "\n"


class Writing(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.mime = Mime()
        cls.random = random.Random(20260101)

    @classmethod
    def tearDownClass(cls):
        assert cls.mime.close() == 0

    def words(self, most, alphabet=ALPHABET):
        """Text of at most so many bytes, never empty."""
        text = ""
        for _ in range(self.random.randint(1, most)):
            more = self.random.choice(alphabet)
            if len((text + more).encode()) > most:
                break
            text += more
        return text

    def parse(self, data):
        """The message, whose form is looked at first."""
        self.assertTrue(data.endswith(b"\r\n"))
        for line in data.split(b"\r\n"):
            self.assertLessEqual(len(line), 998)
            self.assertNotIn(b"\n", line)
            self.assertNotIn(b"\r", line)
            self.assertFalse(line.startswith(b"."))
            self.assertTrue(line.isascii())
        message = email.message_from_bytes(data, policy=email.policy.SMTP)
        self.assertEqual(message.defects, [])
        return message

    def test_hostile_messages(self):
        for _ in range(600):
            fields = {
                "name": self.words(200),
                "to": self.words(200),
                "subject": self.words(500),
                "value": self.words(500),
                "text": self.words(3000, ALPHABET + ["\n", "\r\n", "\t", " \n", "\n.", "\nFrom ", "x" * 80]),
                "html": self.random.choice(["", self.words(500, ALPHABET + ["<p>", "\n"])]),
            }
            self.check(fields)

    def check(self, fields):
        outcome, data = self.mime.write(**fields)
        self.assertEqual(outcome, 0, data)
        message = self.parse(data)
        names = ["Date", "From", "To", "Subject", "Message-ID", "List-Unsubscribe",
                 "List-Unsubscribe-Post", "X-Test", "MIME-Version", "Content-Type"]
        names += [] if fields["html"] else ["Content-Transfer-Encoding"]
        self.assertEqual(message.keys(), names)
        self.assertEqual(message["Subject"], fields["subject"])
        self.assertEqual(message["X-Test"], fields["value"])
        raw = email.message_from_bytes(data, policy=email.policy.compat32)
        self.check_address(raw["From"], fields["name"], "no-reply@example.org")
        self.check_address(raw["To"], fields["to"], "to@example.com")
        self.check_bodies(message, fields)

    def check_address(self, header, name, address):
        """Newer policies of the package keep the spaces between encoded words of a name."""
        [(phrase, spec)] = email.utils.getaddresses([header])
        self.assertEqual(spec, address)
        self.assertEqual(str(email.header.make_header(email.header.decode_header(phrase))), name)

    def check_bodies(self, message, fields):
        if fields["html"]:
            self.assertEqual(message.get_content_type(), "multipart/alternative")
            parts = list(message.iter_parts())
            self.assertEqual([p.get_content_type() for p in parts], ["text/plain", "text/html"])
            self.assertEqual(lines_of(parts[1].get_content()), lines_of(fields["html"]))
        else:
            parts = [message]
        for part in parts:
            self.assertEqual(part.get_content_charset(), "utf-8")
            self.assertEqual(part.defects, [])
        self.assertEqual(lines_of(parts[0].get_content()), lines_of(fields["text"]))

    def test_fixed_fields(self):
        message = self.parse(self.mime.write(text="a", html="<p>b")[1])
        self.assertEqual(message["Date"].datetime.isoformat(), "2023-11-14T22:13:20+00:00")
        self.assertEqual(message["Message-ID"], "<1@example.org>")
        self.assertEqual(message["List-Unsubscribe"], "<https://example.org/u/token>")
        self.assertEqual(message["List-Unsubscribe-Post"], "List-Unsubscribe=One-Click")

    def test_breaks(self):
        """No control and no line break of Unicode gets into any field."""
        for c in BREAKS:
            for field, said in (("name", b"from.name"), ("to", b"to[0].name"), ("subject", b"subject"),
                                ("sender", b"from.address"), ("value", b"headers[0].value")):
                with self.subTest(character=hex(ord(c)), field=field):
                    self.assertEqual(self.mime.write(**{field: f"a{c}Bcc: b@evil.test"}), (1, said))


class Sandbox(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp()
        self.process = subprocess.Popen([PROGRAM, "sandbox", self.directory], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline())

    def tearDown(self):
        self.process.stdin.close()
        self.assertEqual(self.process.wait(20), 0)
        self.process.stdout.close()
        shutil.rmtree(self.directory)

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        said = self.process.stdout.readline()
        return None if said == "unknown\n" else json.loads(said)

    def message(self, subject, to="b@example.com"):
        m = email.message.EmailMessage()
        m["From"], m["To"], m["Subject"] = "Ada <a@example.com>", to, subject
        m.set_content("Hello\n.\n..two\n" + "x" * 500 + "\n")
        m.add_alternative("<p>Hello é</p>", subtype="html")
        return m

    def test_smtplib(self):
        with smtplib.SMTP("127.0.0.1", self.port, timeout=10) as client:
            client.ehlo()
            self.assertTrue(client.has_extn("pipelining") and client.has_extn("smtputf8"))
            client.login("any", "thing")
            for i in range(3):
                client.send_message(self.message(f"number {i}"))
            self.assertEqual(client.send_message(self.message("last", "c@example.com")), {})
        page = self.ask("list 0 2")
        self.assertEqual((page["total"], page["count"], page["start"]), (4, 2, 0))
        self.assertEqual(page["items"][0]["Content"]["Headers"]["Subject"], ["last"])
        item = self.ask("list 3 50")["items"][0]
        self.check_item(item)
        self.assertEqual(self.ask("get " + item["ID"]), item)
        self.assertEqual(self.ask("search to C@example")["total"], 1)
        self.assertEqual(self.ask("search containing number 2")["count"], 1)
        self.ask("remove " + item["ID"])
        self.assertIsNone(self.ask("get " + item["ID"]))
        self.ask("clear")
        self.assertEqual(self.ask("list 0 50")["items"], [])

    def check_item(self, item):
        back = email.message_from_bytes(item["Raw"]["Data"].encode(), policy=email.policy.default)
        sent = self.message("number 0")
        self.assertEqual(back["Subject"], "number 0")
        for a, b in zip(back.iter_parts(), sent.iter_parts(), strict=True):
            self.assertEqual(lines_of(a.get_content()), lines_of(b.get_content()))
        self.assertEqual(item["From"]["Mailbox"], "a")
        self.assertEqual([t["Domain"] for t in item["To"]], ["example.com"])
        self.assertEqual([p["Headers"]["Content-Type"][0].split(";")[0] for p in item["MIME"]["Parts"]],
                         ["text/plain", "text/html"])

    def test_utf8(self):
        with smtplib.SMTP("127.0.0.1", self.port, timeout=10) as client:
            client.sendmail("zoë@example.com", ["björn@example.com"], "Subject: ü\r\n\r\nß\r\n".encode(),
                            mail_options=["SMTPUTF8", "BODY=8BITMIME"])
        item = self.ask("list 0 1")["items"][0]
        self.assertEqual(item["Raw"]["From"], "zoë@example.com")
        self.assertEqual(item["Raw"]["To"], ["björn@example.com"])
        self.assertEqual(item["Raw"]["Data"], "Subject: ü\r\n\r\nß\r\n")

    def test_refused(self):
        with smtplib.SMTP("127.0.0.1", self.port, timeout=10) as client:
            with self.assertRaises(smtplib.SMTPRecipientsRefused):
                client.sendmail("a@example.com", ["not an address"], "x")
            with self.assertRaises(smtplib.SMTPSenderRefused) as refused:
                client.sendmail("a@example.com", ["b@example.com"], "x" * 100 + "\r\n" * 6_000_000)
            self.assertEqual(refused.exception.smtp_code, 552)
        self.assertEqual(self.ask("list 0 1")["total"], 0)

    def test_smuggling(self):
        """A client that ends its lines by LF alone hides nothing."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as client:
            client.sendall(b"EHLO x\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<b@x.test>\r\nDATA\r\nHi\n.\n"
                           b"MAIL FROM:<evil@x.test>\r\nRCPT TO:<b@x.test>\r\nDATA\r\nevil\r\n.\r\n")
            said = b""
            while more := client.recv(4096):
                said += more
        self.assertTrue(said.endswith(b"521 5.5.2 A CR or LF stands alone: lines end in CRLF\r\n"))
        self.assertEqual(self.ask("list 0 1")["total"], 0)

    @unittest.skipUnless(shutil.which("curl"), "there is no curl")
    def test_curl(self):
        subprocess.run(["curl", "-sS", "--url", f"smtp://127.0.0.1:{self.port}/me.test", "--mail-from", "a@x.test",
                        "--mail-rcpt", "b@x.test", "--mail-rcpt", "c@x.test", "-T", "-"],
                       input=b"Subject: by curl\r\n\r\n.\r\nHi\r\n", check=True, timeout=20)
        item = self.ask("search from a@x.test")["items"][0]
        self.assertEqual(item["Raw"]["Data"], "Subject: by curl\r\n\r\n.\r\nHi\r\n")
        self.assertEqual(item["Raw"]["To"], ["b@x.test", "c@x.test"])


if __name__ == "__main__":
    unittest.main()
