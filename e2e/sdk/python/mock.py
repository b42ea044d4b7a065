"""`switchboard mock-twilio` as a process of its own, Twilio's Python library pointed at it, and somewhere for its webhooks to go."""

import http.server
import json
import os
import pathlib
import re
import socket
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.request
from urllib.parse import parse_qsl, urlsplit

from twilio.base.exceptions import TwilioRestException
from twilio.request_validator import RequestValidator
from twilio.rest import Client

ROOT = pathlib.Path(__file__).resolve().parents[3]
DEADLINE_SECONDS = 20
POLL_SECONDS = 0.02

ACCOUNT = "AC" + "e2e0" * 8
AUTH_TOKEN = "e2e-auth-token-of-no-account-000"
API_KEY = "SK" + "e2e1" * 8
API_KEY_SECRET = "e2e-api-key-secret-of-no-account"
SERVICE = "IS" + "e2e2" * 8
NUMBER = "+15005550006"


def nothing(prefix):
    """Well-formed, and nothing's."""
    return prefix + "0123456789abcdef" * 2


def binary():
    """`SWITCHBOARD_BIN`, else the release build, else the debug build."""
    if os.environ.get("SWITCHBOARD_BIN"):
        return pathlib.Path(os.environ["SWITCHBOARD_BIN"]).resolve()
    for profile in ["release", "debug"]:
        path = ROOT / "target" / profile / "switchboard"
        if path.exists():
            return path
    raise FileNotFoundError("no switchboard binary: run `cargo build --release` or set SWITCHBOARD_BIN")


def until(what, condition):
    """The first true answer of `condition`, or a failure that says what was waited for."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {DEADLINE_SECONDS} s in vain for {what() if callable(what) else what}")
        time.sleep(POLL_SECONDS)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Receiver:
    """A web server whose every request has to be signed as the library's validator wants it."""

    def __init__(self):
        self.received = []
        self.unsigned = []
        self.answer = lambda fields: (200, None)
        validator = RequestValidator(AUTH_TOKEN)
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def take(self, body):
                url = receiver.url + self.path
                in_query = self.command == "GET"
                fields = dict(parse_qsl(urlsplit(url).query if in_query else body, keep_blank_values=True))
                signature = self.headers.get("X-Twilio-Signature", "")
                genuine = validator.validate(url, {} if in_query else fields, signature)
                entry = {"method": self.command, "url": self.path, "headers": self.headers, "fields": fields}
                (receiver.received if genuine else receiver.unsigned).append(entry)
                status, answer = receiver.answer(fields)
                content = b"" if answer is None else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def do_GET(self):
                self.take("")

            def do_POST(self):
                self.take(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def first(self, **wanted):
        """The first webhook with these fields, as soon as it is there; `__` in a name stands for a dot."""
        wanted = {name.replace("__", "."): value for name, value in wanted.items()}

        def found():
            for entry in list(self.received):
                if wanted.items() <= entry["fields"].items():
                    return entry

        return until(lambda: f"a webhook with {wanted}; there were {[each['fields'] for each in self.received]}", found)

    def all(self, event_type):
        return [entry for entry in self.received if entry["fields"]["EventType"] == event_type]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class MockTest(unittest.TestCase):
    """Tests against one running mock per class."""

    @classmethod
    def setUpClass(cls):
        cls.told = Receiver()
        address = f"127.0.0.1:{free_port()}"
        cls.url = f"http://{address}"
        cls.folder = tempfile.TemporaryDirectory(prefix="switchboard-sdk-")
        cls.log = open(os.path.join(cls.folder.name, "log"), "w+")
        settings = {
            "PATH": os.environ.get("PATH", ""),
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
            "TWILIO_API_KEY_SID": API_KEY,
            "TWILIO_API_KEY_SECRET": API_KEY_SECRET,
            "TWILIO_CONVERSATIONS_SERVICE_SID": SERVICE,
            "TWILIO_PHONE_NUMBER": NUMBER,
            "MOCK_TWILIO_LISTEN": address,
            "MOCK_TWILIO_WEBHOOK_URL": f"{cls.told.url}/account",
        }
        cls.process = subprocess.Popen(
            [binary(), "mock-twilio"], env=settings, cwd=cls.folder.name, stdout=cls.log, stderr=cls.log
        )
        cls.addClassCleanup(cls.end)
        until(cls.last_lines, cls.healthy)
        cls.v1 = cls.client().conversations.v1

    @classmethod
    def client(cls, username=ACCOUNT, password=AUTH_TOKEN):
        """The library as it comes from PyPI; its address is one public attribute."""
        client = Client(username, password, account_sid=ACCOUNT)
        client.conversations.base_url = cls.url
        return client

    @classmethod
    def healthy(cls):
        if cls.process.poll() is not None:
            raise AssertionError(f"it ended with {cls.process.returncode}: {cls.last_lines()}")
        try:
            return urllib.request.urlopen(f"{cls.url}/healthz", timeout=5).status == 200
        except OSError:
            return False

    @classmethod
    def last_lines(cls):
        cls.log.seek(0)
        return f"mock-twilio to answer {cls.url}/healthz\n{cls.log.read()[-4000:]}"

    @classmethod
    def end(cls):
        cls.process.terminate()
        try:
            status = cls.process.wait(DEADLINE_SECONDS)
        finally:
            cls.process.kill()
            cls.told.stop()
            cls.log.close()
            cls.folder.cleanup()
        if status != 0:
            raise AssertionError(f"mock-twilio ended with {status}")
        if cls.told.unsigned:
            raise AssertionError(f"webhooks that the library's validator refused: {cls.told.unsigned}")

    @classmethod
    def control(cls, where, /, **fields):
        """`POST /_mock/{where}`: what happens on the other side."""
        request = urllib.request.Request(
            f"{cls.url}/_mock/{where}", json.dumps(fields).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def assertRefused(self, status, code, call, *arguments, **parameters):
        """That Twilio refuses, by the library's own exception, which is given back."""
        with self.assertRaises(TwilioRestException) as caught:
            call(*arguments, **parameters)
        self.assertEqual((caught.exception.status, caught.exception.code), (status, code), caught.exception.msg)
        return caught.exception

    def assertSid(self, prefix, sid):
        self.assertRegex(sid, re.compile(rf"\A{prefix}[0-9a-f]{{32}}\Z"))


class DefaultService:
    """Paths without a service."""

    form = "default service"

    @property
    def api(self):
        return self.v1


class ServiceScoped:
    """The same paths under `/Services/{ServiceSid}`."""

    form = "service-scoped"

    @property
    def api(self):
        return self.v1.services(SERVICE)
