"""Calls to AWS against servers that are not ours.

usage: aws_interop.py PROGRAM, which is built from aws_interop.c.

The fake checks each signature by the words of AWS's documentation. Where this machine has AWS's own
client, the fake's check is itself checked with it; where it has moto_server, so are our calls.
"""
import datetime
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import unittest
import urllib.parse
import urllib.request

import aws_fake

PROGRAM = sys.argv.pop(1)
KEY = "AKIDEXAMPLE"
TEMPORARY = "ASIAEXAMPLE"
MIME = b"From: sender@example.com\r\nTo: a@example.com\r\nSubject: test\r\n\r\nHello\r\n"
JSON = "application/json"


def environment(url, key=KEY, **more):
    secret, token = aws_fake.KEYS[key]
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "AWS_ENDPOINT_URL": url,
           "AWS_REGION": aws_fake.REGION, "AWS_DEFAULT_REGION": aws_fake.REGION,
           "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
    env.update({name: os.environ[name] for name in os.environ if name.endswith("SAN_OPTIONS")})
    if token:
        env["AWS_SESSION_TOKEN"] = token
    return {**env, **more}


def run(args, env, text=b""):
    done = subprocess.run([PROGRAM, *args], input=text, env=env, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=60, check=False)
    assert b"Sanitizer" not in done.stderr and b"runtime error" not in done.stderr, done.stderr
    return done.returncode, done.stdout.decode().splitlines()


class Fake(unittest.TestCase):
    def setUp(self):
        self.server = aws_fake.Server().start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.state = self.server.services.state

    def call(self, service, path, body, **more):
        return run(["call", service, path], environment(self.server.url, **more), body)

    def send(self, recipients, mime=MIME, **more):
        return run(["send", "sender@example.com", *recipients],
                   environment(self.server.url, **more), mime)

    def test_signed_as_aws_reads_it(self):
        for key in (KEY, TEMPORARY):
            with self.subTest(key):
                code, lines = self.call("sts", "/", b"Action=GetCallerIdentity&Version=2011-06-15",
                                        key=key)
                self.assertEqual(code, 0, lines)
                self.assertIn(f"<Account>{aws_fake.ACCOUNT}</Account>", lines[-1])
                code, lines = self.call("ses", "/v2/email/account", b"", key=key)
                self.assertEqual((code, json.loads(lines[0])), (0, self.state.account))
                code, lines = self.call("sns", "/", b"Action=CreateTopic&Version=2010-03-31"
                                                    b"&Name=x&Attributes.entry.1.key=SignatureVersion"
                                                    b"&Attributes.entry.1.value=2", key=key)
                self.assertEqual(code, 0, lines)
        self.assertEqual([c["service"] for c in self.server.services.calls],
                         ["sts", "ses", "sns"] * 2)

    def test_signature_by_another_key(self):
        code, lines = self.call("ses", "/v2/email/account", b"", AWS_SECRET_ACCESS_KEY="other")
        self.assertEqual(code, 1)
        self.assertRegex(lines[0], "^not permitted 403 SignatureDoesNotMatch The request signature we "
                                   "calculated does not match the signature you provided.$")
        code, lines = self.call("ses", "/v2/email/account", b"", AWS_ACCESS_KEY_ID="AKIDOTHER")
        self.assertRegex(lines[0], "^not permitted 403 InvalidClientTokenId ")
        code, lines = self.call("ses", "/v2/email/account", b"", AWS_REGION="us-east-1")
        self.assertRegex(lines[0], "^not permitted 403 SignatureDoesNotMatch Credential should be")
        code, lines = self.call("ses", "/v2/email/account", b"", key=TEMPORARY,
                                AWS_SESSION_TOKEN="other")
        self.assertRegex(lines[0], "^not permitted 403 InvalidClientTokenId ")

    def test_clock(self):
        for offset, said in ((3630, "60 minutes behind"), (-7230, "120 minutes ahead of")):
            self.state.dateOffset = offset
            code, lines = self.call("ses", "/v2/email/account", b"")
            self.assertEqual(code, 1)
            self.assertIn(f"this machine's clock is {said} that of AWS: Signature expired", lines[0])

    def test_send(self):
        code, lines = self.send(["a@example.com", "b+c@example.org"], key=TEMPORARY,
                                SES_CONFIGURATION_SET="own")
        self.assertEqual((code, lines), (0, ["accepted  0102018c00000001-00000000-0000-000000",
                                             "accepted  "]))
        self.assertEqual(self.state.messages, [{
            "from": "sender@example.com", "to": ["a@example.com", "b+c@example.org"], "bcc": [],
            "tags": {"tenant": "00000000-0000-0000-0000-000000000000", "template": "welcome"},
            "configurationSet": "own", "raw": MIME.decode()}])

    def test_send_much_to_many(self):
        mime = MIME + b"0123456789abcdef\r\n" * (16 * 1024 * 1024 // 18 - 100)
        recipients = [f"user{i}@example.com" for i in range(50)]
        code, lines = self.send(recipients, mime)
        self.assertEqual((code, len(lines)), (0, 50))
        self.assertTrue(all(line.startswith("accepted ") for line in lines))
        self.assertEqual(self.state.messages[0]["raw"], mime.decode())
        self.assertEqual(self.state.messages[0]["to"], recipients)

    def test_send_refused(self):
        for status, name, result in ((400, "MessageRejected", "permanent MessageRejected"),
                                     (429, "TooManyRequestsException", "temporary TooManyRequests"),
                                     (500, "InternalFailure", "temporary InternalFailure")):
            self.state.failures = [{"action": "SendEmail", "status": status, "code": name,
                                    "message": "said so"}]
            code, lines = self.send(["a@example.com", "b@example.com"])
            self.assertEqual((code, lines), (0, [f"{result} said so"] * 2))
        self.assertEqual(self.state.messages, [])

    def test_credentials_of_a_container(self):
        class Container(http.server.BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def do_GET(self):
                secret, token = aws_fake.KEYS[TEMPORARY]
                soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=6)
                body = json.dumps({"RoleArn": "arn:aws:iam::123456789012:role/mail",
                                   "AccessKeyId": TEMPORARY, "SecretAccessKey": secret,
                                   "Token": token,
                                   "Expiration": soon.strftime("%Y-%m-%dT%H:%M:%SZ")}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        container = http.server.HTTPServer(("127.0.0.1", 0), Container)
        threading.Thread(target=container.serve_forever, daemon=True).start()
        self.addCleanup(container.server_close)
        self.addCleanup(container.shutdown)
        code, lines = self.send(
            ["a@example.com"], AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="",
            AWS_CONTAINER_CREDENTIALS_FULL_URI=f"http://127.0.0.1:{container.server_address[1]}/x")
        self.assertEqual((code, lines[0][:9]), (0, "accepted "), lines)


class AwsClient(unittest.TestCase):
    """The fake, by the client that is AWS's own."""

    @classmethod
    def setUpClass(cls):
        if not shutil.which("aws"):
            raise unittest.SkipTest("no aws client")

    def setUp(self):
        self.server = aws_fake.Server().start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)

    def aws(self, *args, **more):
        done = subprocess.run(["aws", "--endpoint-url", self.server.url, "--output", "json", *args],
                              env={**environment(self.server.url, **more), "PATH": os.environ["PATH"]},
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120, check=False)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def test_takes_its_signatures_and_no_others(self):
        for key in (KEY, TEMPORARY):
            code, out, err = self.aws(
                "sesv2", "send-email", "--from-email-address", "sender@example.com", "--destination",
                "ToAddresses=a@example.com", "--content",
                json.dumps({"Raw": {"Data": aws_fake.base64.b64encode(MIME).decode()}}), key=key)
            self.assertEqual(code, 0, err)
            self.assertIn("MessageId", json.loads(out))
        # The client's second version takes base64 where its first encodes what it is given.
        self.assertIn(self.server.services.state.messages[0]["raw"],
                      (MIME.decode(), aws_fake.base64.b64encode(MIME).decode()))
        code, out, err = self.aws("sns", "create-topic", "--name", "x", "--attributes",
                                  "SignatureVersion=2")
        self.assertEqual(code, 0, err)
        arn = json.loads(out)["TopicArn"]
        code, out, err = self.aws("sns", "get-topic-attributes", "--topic-arn", arn)
        self.assertEqual(json.loads(out)["Attributes"]["SignatureVersion"], "2", err)
        code, out, err = self.aws("ses", "verify-domain-dkim", "--domain", "example.com")
        self.assertEqual(len(json.loads(out)["DkimTokens"]), 3, err)
        code, out, err = self.aws("sts", "get-caller-identity")
        self.assertEqual(json.loads(out)["Account"], aws_fake.ACCOUNT, err)
        code, out, err = self.aws("sesv2", "get-account", AWS_SECRET_ACCESS_KEY="other")
        self.assertNotEqual(code, 0)
        self.assertIn("SignatureDoesNotMatch", err)


class Moto(unittest.TestCase):
    """Our calls, by moto."""

    @classmethod
    def setUpClass(cls):
        if not shutil.which("moto_server"):
            raise unittest.SkipTest("no moto_server")
        # Port 0 is the system's choice, which moto tells on its standard error.
        cls.moto = subprocess.Popen(["moto_server", "-H", "127.0.0.1", "-p", "0"],
                                    stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        cls.url = None
        while cls.url is None:
            line = cls.moto.stderr.readline()
            if not line:
                raise AssertionError("moto_server does not start")
            if "Running on" in line:
                cls.url = line.split("Running on ")[1].split()[0]
        threading.Thread(target=cls.moto.stderr.read, daemon=True).start()

    @classmethod
    def tearDownClass(cls):
        cls.moto.terminate()
        cls.moto.wait()

    def call(self, service, path, body):
        return run(["call", service, path], environment(self.url), body)

    def test_send(self):
        args = ["send", "sender@example.com", "a@example.com", "b@example.org"]
        code, lines = run(args, environment(self.url), MIME)
        self.assertEqual(code, 0)
        self.assertRegex(lines[0], "^permanent MessageRejected ")
        code, _ = self.call("ses", "/", b"Action=VerifyEmailIdentity&Version=2010-12-01"
                                        b"&EmailAddress=sender%40example.com")
        self.assertEqual(code, 0)
        code, lines = run(args, environment(self.url), MIME)
        self.assertEqual(code, 0)
        self.assertRegex(lines[0], r"^accepted  \S+$")
        self.assertEqual(lines[1], "accepted  ")
        with urllib.request.urlopen(self.url + "/moto-api/data.json") as answer:
            messages = json.load(answer)["ses"]["RawMessage"]
        (message,) = [m for m in messages if m["source"] == "sender@example.com"]
        # To which moto adds those of the message's own head.
        self.assertEqual(message["destinations"][:2], ["a@example.com", "b@example.org"])
        self.assertEqual(message["raw_data"], MIME.decode())

    def test_bounce_comes_signed_by_nobody_we_trust(self):
        """From SES by SNS to an endpoint; but moto is not Amazon, so the server takes none of it."""
        envelopes = []

        class Endpoint(http.server.BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def do_POST(self):
                envelopes.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()

        endpoint = http.server.HTTPServer(("127.0.0.1", 0), Endpoint)
        threading.Thread(target=endpoint.serve_forever, daemon=True).start()
        self.addCleanup(endpoint.server_close)
        self.addCleanup(endpoint.shutdown)

        def ask(service, version, **fields):
            form = urllib.parse.urlencode({**fields, "Version": version}).encode()
            code, lines = self.call(service, "/", form)
            self.assertEqual(code, 0, lines)
            return "".join(lines)

        created = ask("sns", "2010-03-31", Action="CreateTopic", Name="bounces")
        (arn,) = re.findall("<TopicArn>(.*)</TopicArn>", created)
        ask("sns", "2010-03-31", Action="Subscribe", TopicArn=arn, Protocol="http",
            Endpoint=f"http://127.0.0.1:{endpoint.server_address[1]}/")
        ask("ses", "2010-12-01", Action="VerifyDomainDkim", Domain="bounces.example.com")
        ask("ses", "2010-12-01", Action="SetIdentityNotificationTopic",
            Identity="bounces.example.com", NotificationType="Bounce", SnsTopic=arn)
        code, lines = run(["send", "a@bounces.example.com", "bounce@simulator.amazonses.com"],
                          environment(self.url), MIME)
        self.assertEqual((code, lines[0][:9]), (0, "accepted "), lines)
        ask("sns", "2010-03-31", Action="Publish", TopicArn=arn, Message='{"notificationType":"Bounce"}')
        bounce, published = envelopes
        self.assertEqual(json.loads(bounce)["Message"]["bounce"]["bounceType"], "Permanent")
        # In its server mode moto does not give its certificate out; this one is as little Amazon's.
        with tempfile.TemporaryDirectory() as place:
            certificate = os.path.join(place, "certificate")
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
                            "-subj", "/CN=sns.amazonaws.com", "-addext",
                            "subjectAltName=DNS:sns.amazonaws.com", "-addext",
                            "basicConstraints=critical,CA:FALSE", "-keyout", "/dev/null", "-out",
                            certificate], check=True, stderr=subprocess.DEVNULL)
            env = environment(self.url)
            for topic, envelope, said in (
                    # Of SES's events moto makes an object where SNS has text.
                    (arn, bounce, "not an SNS message"),
                    (arn + "x", published, "the message is of a topic that is not allowed here"),
                    (arn, published, "the signing certificate is not one of SNS")):
                self.assertEqual(run(["verify", topic, certificate], env, envelope), (1, [said]))

    def test_errors(self):
        code, lines = self.call("sns", "/", b"Action=GetTopicAttributes&Version=2010-03-31&TopicArn="
                                            b"arn%3Aaws%3Asns%3Aeu-west-1%3A123456789012%3Anone")
        self.assertEqual((code, lines), (1, ["refused 404 NotFound Topic does not exist"]))


if __name__ == "__main__":
    unittest.main(verbosity=2)
