"""A mail server for the end-to-end tests: smtp_peer.py PORT [SECONDS]

PORT may be 0; up to SECONDS pass before each message is answered. Prints a line of JSON a thing:
{"port"} once it listens, then {"to", "from", "data"} a message that it has got whole. The local part
of a recipient says how it is treated: "no..." is refused with 550, "later..." once with 451, after
"drop..." the connection is gone without an answer, the first "hang..." gets none, "ses..." is answered
as SES does.
"""
import asyncio
import json
import random
import sys

from aiosmtpd.controller import Controller

SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else 0


def say(**what):
    print(json.dumps(what), flush=True)


class Handler:
    def __init__(self):
        self.put_off = set()

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("no"):
            return "550 5.1.1 no such user"
        if address.startswith("later") and address not in self.put_off:
            self.put_off.add(address)
            return "451 4.7.1 come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        say(**{"to": envelope.rcpt_tos, "from": envelope.mail_from,
               "data": envelope.original_content.decode("ascii")})
        first = envelope.rcpt_tos[0]
        if first.startswith("drop"):
            server.transport.abort()
        if first.startswith("hang") and first not in self.put_off:
            self.put_off.add(first)
            await asyncio.sleep(3600)
        await asyncio.sleep(random.uniform(0, SECONDS))
        if first.startswith("ses"):
            return "250 Ok 0102018f3a5b7c9d-1f6e0a52-9c1b-4f5e-8a77-3d2b1c0e9f86-000000"
        return "250 taken"


class Server(Controller):
    # Port 0 is the system's choice, which only the socket knows.
    def _trigger_server(self):
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


server = Server(Handler(), hostname="127.0.0.1", port=int(sys.argv[1]))
server.start()
say(port=server.port)
sys.stdin.read()  # until the test lets go
