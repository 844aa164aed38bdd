"""Simple Email Service, Notification Service and Security Token Service, as far as Holdfast asks them.

Every request's signature (Signature Version 4) is checked, by the words of AWS's documentation and
with nothing of libcurl's. What was asked is recorded, and the tests lay down what is there.

usage: aws_fake.py [--port PORT]

Prints the port, serves until its standard input ends, and is told by the tests:
    GET  /_fake/calls   what was asked since the last time: [{service, action, params}]
    GET  /_fake/state   what there is
    PUT  /_fake/state   changes of it: the members of State below
"""
import base64
import datetime
import hashlib
import hmac
import http.server
import json
import re
import sys
import threading
import urllib.parse
from xml.sax.saxutils import escape

ACCOUNT = "123456789012"
REGION = "eu-west-1"
KEYS = {"AKIDEXAMPLE": ("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", None),
        "ASIAEXAMPLE": ("temporary/K7MDENG+bPxRfiCYEXAMPLE", "session/token+with=signs")}
SKEW = datetime.timedelta(minutes=5)
VERSIONS = {"ses": "2010-12-01", "sns": "2010-03-31", "sts": "2011-06-15"}
TYPES = ("Bounce", "Complaint", "Delivery")


class Refusal(Exception):
    def __init__(self, status, code, message):
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def encode(text, safe="-_.~"):
    return urllib.parse.quote(text, safe=safe)


def digest(data):
    return hashlib.sha256(data).hexdigest()


def mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def canonical_query(query):
    pairs = [part.partition("=")[::2] for part in query.split("&") if part]
    pairs = [(encode(urllib.parse.unquote(name)), encode(urllib.parse.unquote(value)))
             for name, value in pairs]
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def check_signature(method, target, headers, body, now):
    """Returns the service that the request is signed for, or raises a Refusal."""
    given = headers.get("Authorization", "")
    match = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, "
                         r"?SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})", given)
    if not match:
        raise Refusal(403, "MissingAuthenticationToken", "the request is not signed")
    key_id, day, region, service, names, signature = match.groups()
    if key_id not in KEYS:
        raise Refusal(403, "InvalidClientTokenId", "The security token included is invalid.")
    secret, token = KEYS[key_id]
    if headers.get("X-Amz-Security-Token") != token:
        raise Refusal(403, "InvalidClientTokenId", "The security token included is invalid.")
    names = names.split(";")
    needed = {"host", "x-amz-date"} | ({"x-amz-security-token"} if token else set()) \
        | ({"content-type"} if "Content-Type" in headers else set())
    if names != sorted(names) or not needed <= set(names):
        raise Refusal(403, "SignatureDoesNotMatch", f"headers are not signed: {needed - set(names)}")
    date = headers.get("X-Amz-Date", "")
    at = datetime.datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
    if not date.startswith(day) or region != REGION:
        raise Refusal(403, "SignatureDoesNotMatch", "Credential should be scoped to this day and region")
    if abs(now - at) > SKEW:
        raise Refusal(403, "SignatureDoesNotMatch", f"Signature expired: {date} is not near {now}")
    path, _, query = target.partition("?")
    canonical = "\n".join([
        method,
        encode(path, safe="/-_.~"),  # the path on the wire, encoded once more: all but S3
        canonical_query(query),
        *(f"{name}:{' '.join(headers[name].split())}" for name in names),
        "",
        ";".join(names),
        digest(body)])
    scope = f"{day}/{region}/{service}/aws4_request"
    to_sign = "\n".join(["AWS4-HMAC-SHA256", date, scope, digest(canonical.encode())])
    key = ("AWS4" + secret).encode()
    for part in (day, region, service, "aws4_request"):
        key = mac(key, part)
    if not hmac.compare_digest(hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest(), signature):
        raise Refusal(403, "SignatureDoesNotMatch",
                      "The request signature we calculated does not match the signature you provided."
                      f"\n\nThe Canonical String for this request should have been\n'{canonical}'")
    return service


class Raw(str):
    """XML already."""


def xml(value):
    """Python's values as the query APIs have them: lists are members, and so on."""
    if isinstance(value, Raw):
        return value
    if isinstance(value, dict):
        return "".join(f"<{name}>{xml(inner)}</{name}>" for name, inner in value.items())
    if isinstance(value, list):
        return "".join(f"<member>{xml(inner)}</member>" for inner in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return escape(str(value))


def entries(mapping):
    return Raw("".join(f"<entry><key>{escape(key)}</key><value>{xml(value)}</value></entry>"
                       for key, value in mapping.items()))


class State:
    def __init__(self):
        self.identities = {}  # name: {verification, dkim, dkimEnabled, topics, headers}
        self.topics = {}  # ARN: attributes
        self.subscriptions = []  # {arn, topic, protocol, endpoint, pending, attributes}
        self.account = {"ProductionAccessEnabled": True, "SendingEnabled": True,
                        "EnforcementStatus": "HEALTHY",
                        "SendQuota": {"Max24HourSend": 50000.0, "MaxSendRate": 14.0,
                                      "SentLast24Hours": 120.0}}
        self.confirms = True  # endpoints confirm a subscription at once
        self.verification = "Pending"  # of identities that are made
        self.failures = []  # {action, status, code, message, times}
        self.dateOffset = 0  # seconds that our clock is ahead
        self.pageSize = 100
        self.messages = []  # what was sent


class Services:
    def __init__(self):
        self.state = State()
        self.calls = []
        self.lock = threading.Lock()

    def fail_if_told(self, action):
        for failure in self.state.failures:
            if failure["action"] == action and failure.get("times", 1) > 0:
                failure["times"] = failure.get("times", 1) - 1
                raise Refusal(failure["status"], failure["code"], failure.get("message", ""))

    # --- STS

    def sts_GetCallerIdentity(self, p):
        return {"Arn": f"arn:aws:iam::{ACCOUNT}:user/mail", "UserId": "AIDA", "Account": ACCOUNT}

    # --- SES, the older API

    def members(self, p, name):
        found = []
        while f"{name}.member.{len(found) + 1}" in p:
            found.append(p[f"{name}.member.{len(found) + 1}"])
        return found

    def identity(self, name):
        if name not in self.state.identities:
            raise Refusal(400, "InvalidParameterValue", f"Identity {name} does not exist.")
        return self.state.identities[name]

    def make_identity(self, name):
        return self.state.identities.setdefault(name, {
            "verification": self.state.verification, "dkim": "NotStarted", "dkimEnabled": True,
            "topics": {}, "headers": {}})

    def tokens(self, name):
        domain = name.rpartition("@")[2]
        return [digest(f"{domain}{i}".encode())[:32] for i in range(3)]

    def ses_GetIdentityVerificationAttributes(self, p):
        known = [n for n in self.members(p, "Identities") if n in self.state.identities]
        return {"VerificationAttributes": entries(
            {n: {"VerificationStatus": self.state.identities[n]["verification"]} for n in known})}

    def ses_GetIdentityDkimAttributes(self, p):
        found = {}
        for name in self.members(p, "Identities"):
            i = self.state.identities.get(name, {"dkim": "NotStarted", "dkimEnabled": True})
            found[name] = {"DkimEnabled": i["dkimEnabled"], "DkimVerificationStatus": i["dkim"]}
            if i["dkim"] != "NotStarted":
                found[name]["DkimTokens"] = self.tokens(name)
        return {"DkimAttributes": entries(found)}

    def ses_GetIdentityNotificationAttributes(self, p):
        found = {}
        for name in self.members(p, "Identities"):
            i = self.state.identities.get(name)
            if not i:
                continue
            found[name] = {f"{t}Topic": i["topics"][t] for t in TYPES if t in i["topics"]}
            found[name]["ForwardingEnabled"] = True
            for t in TYPES:
                found[name][f"HeadersIn{t}NotificationsEnabled"] = i["headers"].get(t, False)
        return {"NotificationAttributes": entries(found)}

    def ses_VerifyDomainDkim(self, p):
        i = self.make_identity(p["Domain"])
        if i["dkim"] in ("NotStarted", "Failed"):
            i["dkim"] = self.state.verification
        return {"DkimTokens": self.tokens(p["Domain"])}

    def ses_VerifyEmailIdentity(self, p):
        self.make_identity(p["EmailAddress"])
        return {}

    def ses_SetIdentityDkimEnabled(self, p):
        self.identity(p["Identity"])["dkimEnabled"] = p["DkimEnabled"] == "true"
        return {}

    def ses_SetIdentityNotificationTopic(self, p):
        i = self.identity(p["Identity"])
        if p["NotificationType"] not in TYPES or p["SnsTopic"] not in self.state.topics:
            raise Refusal(400, "InvalidParameterValue", f"Invalid SNS topic <{p['SnsTopic']}>.")
        i["topics"][p["NotificationType"]] = p["SnsTopic"]
        return {}

    def ses_SetIdentityHeadersInNotificationsEnabled(self, p):
        self.identity(p["Identity"])["headers"][p["NotificationType"]] = p["Enabled"] == "true"
        return {}

    # --- SNS

    def topic(self, p):
        if p["TopicArn"] not in self.state.topics:
            raise Refusal(404, "NotFound", "Topic does not exist")
        return self.state.topics[p["TopicArn"]]

    def attributes(self, p):
        found, i = {}, 1
        while f"Attributes.entry.{i}.key" in p:
            found[p[f"Attributes.entry.{i}.key"]] = p[f"Attributes.entry.{i}.value"]
            i += 1
        return found

    def sns_CreateTopic(self, p):
        arn = f"arn:aws:sns:{REGION}:{ACCOUNT}:{p['Name']}"
        self.state.topics.setdefault(arn, {"TopicArn": arn, "Owner": ACCOUNT, **self.attributes(p)})
        return {"TopicArn": arn}

    def sns_GetTopicAttributes(self, p):
        return {"Attributes": entries(self.topic(p))}

    def sns_SetTopicAttributes(self, p):
        self.topic(p)[p["AttributeName"]] = p["AttributeValue"]
        return {}

    def sns_ListSubscriptionsByTopic(self, p):
        self.topic(p)
        mine = [s for s in self.state.subscriptions if s["topic"] == p["TopicArn"]]
        first = int(p.get("NextToken", 0))
        page = mine[first:first + self.state.pageSize]
        found = {"Subscriptions": [
            {"TopicArn": s["topic"], "Protocol": s["protocol"], "Owner": ACCOUNT,
             "SubscriptionArn": "PendingConfirmation" if s["pending"] else s["arn"],
             "Endpoint": s["endpoint"]} for s in page]}
        if first + len(page) < len(mine):
            found["NextToken"] = str(first + len(page))
        return found

    def sns_Subscribe(self, p):
        self.topic(p)
        for s in self.state.subscriptions:
            if (s["topic"], s["endpoint"]) == (p["TopicArn"], p["Endpoint"]):
                s["pending"] = s["pending"] and not self.state.confirms
                return {"SubscriptionArn": "pending confirmation" if s["pending"] else s["arn"]}
        s = {"arn": f"{p['TopicArn']}:{len(self.state.subscriptions)}", "topic": p["TopicArn"],
             "protocol": p["Protocol"], "endpoint": p["Endpoint"],
             "pending": not self.state.confirms, "attributes": {}}
        self.state.subscriptions.append(s)
        return {"SubscriptionArn": "pending confirmation" if s["pending"] else s["arn"]}

    def subscription(self, p):
        for s in self.state.subscriptions:
            if s["arn"] == p["SubscriptionArn"]:
                return s
        raise Refusal(404, "NotFound", "Subscription does not exist")

    def sns_GetSubscriptionAttributes(self, p):
        s = self.subscription(p)
        return {"Attributes": entries({"SubscriptionArn": s["arn"], "Endpoint": s["endpoint"],
                                       "RawMessageDelivery": "false", **s["attributes"]})}

    def sns_SetSubscriptionAttributes(self, p):
        self.subscription(p)["attributes"][p["AttributeName"]] = p["AttributeValue"]
        return {}

    # --- SES, the newer API

    def send(self, body):
        self.fail_if_told("SendEmail")
        destination = body.get("Destination", {})
        message = {"from": body["FromEmailAddress"], "to": destination.get("ToAddresses", []),
                   "bcc": destination.get("BccAddresses", []),
                   "tags": {t["Name"]: t["Value"] for t in body.get("EmailTags", [])},
                   "configurationSet": body.get("ConfigurationSetName"),
                   "raw": base64.b64decode(body["Content"]["Raw"]["Data"], validate=True).decode("ascii")}
        for name, value in message["tags"].items():
            if not all(re.fullmatch(r"[A-Za-z0-9_-]{1,256}", text) for text in (name, value)):
                raise Refusal(400, "BadRequestException", f"Invalid tag {name}")
        if not 1 <= len(message["to"]) + len(message["bcc"]) <= 50:
            raise Refusal(400, "BadRequestException", "Recipient count exceeds 50.")
        self.state.messages.append(message)
        return {"MessageId": f"0102018c{len(self.state.messages):08x}-00000000-0000-000000"}

    def newer(self, method, path, body):
        if (method, path) == ("POST", "/v2/email/outbound-emails"):
            return "SendEmail", lambda: self.send(json.loads(body))
        if (method, path) == ("GET", "/v2/email/account"):
            return "GetAccount", lambda: self.state.account
        raise Refusal(404, "UnknownOperationException", "there is no such operation")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "fake"

    def log_message(self, *args):
        pass

    def date_time_string(self, timestamp=None):
        offset = self.server.services.state.dateOffset
        return super().date_time_string(self.now().timestamp() if offset else timestamp)

    def now(self):
        return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(
            seconds=self.server.services.state.dateOffset)

    def answer(self, status, kind, text, headers=()):
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def serve(self):
        services = self.server.services
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with services.lock:
            if self.path.startswith("/_fake/"):
                self.control(services, body)
            elif self.path.startswith("/v2/"):
                self.newer(services, body)
            else:
                self.query(services, body)

    do_GET = do_POST = do_PUT = serve

    def control(self, services, body):
        if self.path == "/_fake/calls":
            calls, services.calls = services.calls, []
            self.answer(200, "application/json", json.dumps(calls))
            return
        if self.command == "PUT":
            for name, value in json.loads(body).items():
                assert hasattr(services.state, name), name
                setattr(services.state, name, value)
        self.answer(200, "application/json", json.dumps(vars(services.state)))

    def newer(self, services, body):
        try:
            service = check_signature(self.command, self.path, self.headers, body, self.now())
            action, run = services.newer(self.command, self.path, body)
            services.calls.append({"service": service, "action": action, "params": {}})
            if service != "ses":
                raise Refusal(403, "SignatureDoesNotMatch", "signed for another service")
            if action != "SendEmail":
                services.fail_if_told(action)
            self.answer(200, "application/json", json.dumps(run()))
        except Refusal as e:
            self.answer(e.status, "application/json", json.dumps({"message": e.message}),
                        [("x-amzn-ErrorType", e.code + ":http://internal.amazon.com/coral/")])

    def query(self, services, body):
        try:
            service = check_signature(self.command, self.path, self.headers, body, self.now())
            p = dict(urllib.parse.parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True))
            action = p.pop("Action")
            services.calls.append({"service": service, "action": action, "params": p})
            run = getattr(services, f"{service}_{action}", None)
            if not run or p.pop("Version") != VERSIONS.get(service):
                raise Refusal(400, "InvalidAction", f"Could not find operation {action}")
            services.fail_if_told(action)
            self.answer(200, "text/xml", '<?xml version="1.0"?>\n'
                        f'<{action}Response xmlns="http://{service}.amazonaws.com/doc/">'
                        f"<{action}Result>{xml(run(p))}</{action}Result><ResponseMetadata>"
                        f"<RequestId>1</RequestId></ResponseMetadata></{action}Response>")
        except Refusal as e:
            self.answer(e.status, "text/xml", "<ErrorResponse><Error><Type>Sender</Type>"
                        f"<Code>{escape(e.code)}</Code><Message>{escape(e.message)}</Message></Error>"
                        "<RequestId>1</RequestId></ErrorResponse>")


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port=0):
        super().__init__(("127.0.0.1", port), Handler)
        self.services = Services()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def start(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self


def main():
    port = int(sys.argv[2]) if sys.argv[1:2] == ["--port"] else 0
    server = Server(port).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
