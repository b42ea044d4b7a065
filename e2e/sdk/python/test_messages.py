"""Messages, media, delivery receipts and scoped webhooks: as Twilio's Python library (and, for media, plain HTTP) sees them."""

import base64
import itertools
import json
import urllib.error
import urllib.request
from datetime import datetime, timezone

from mock import ACCOUNT, AUTH_TOKEN, NUMBER, SERVICE, DefaultService, MockTest, ServiceScoped, nothing

_phones = itertools.count(1000)


class Messages:
    def setUp(self):
        self.sid = self.api.conversations.create().sid
        self.conversation = self.api.conversations(self.sid)
        self.alice = self.conversation.participants.create(identity="alice")

    def test_create(self):
        body = "Grüße 👋 & more"
        first = self.conversation.messages.create(author="alice", body=body, attributes='{"n":[1,2]}')
        self.assertSid("IM", first.sid)
        self.assertEqual(
            (first.index, first.author, first.body, first.attributes, first.participant_sid, first.media, first.delivery),
            (0, "alice", body, '{"n":[1,2]}', self.alice.sid, None, None),
        )

    def test_without_an_author(self):
        message = self.conversation.messages.create(body="Welcome")
        self.assertEqual((message.author, message.participant_sid), ("system", None))

    def test_a_past_date_is_kept(self):
        date = datetime(2019, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
        self.assertEqual(self.conversation.messages.create(body="imported", date_created=date).date_created, date)

    def test_what_is_wrong_is_refused(self):
        create = self.conversation.messages.create
        self.assertRefused(400, 50503, create, author="alice")
        self.assertRefused(400, 50504, create, body="x" * (32 * 1024 + 1))
        self.assertRefused(400, 50303, create, body="x", attributes=json.dumps("x" * 4096))
        self.assertRefused(400, 50304, create, body="x", attributes="nope")
        self.assertRefused(400, 50310, create, body="x", author="x" * 257)

    def test_fetch_update_delete(self):
        sid = self.conversation.messages.create(body="one").sid
        self.conversation.messages.create(body="two")
        updated = self.conversation.messages(sid).update(body="edited", attributes='{"edited":true}')
        self.assertEqual((updated.body, updated.attributes, updated.index), ("edited", '{"edited":true}', 0))
        self.assertEqual(self.conversation.messages(sid).fetch().body, "edited")
        self.assertTrue(self.conversation.messages(sid).delete())
        self.assertRefused(404, 20404, self.conversation.messages(sid).fetch)
        self.assertEqual([each.index for each in self.conversation.messages.list()], [1])
        self.assertEqual(self.conversation.messages.create(body="three").index, 2)

    def test_lists_go_both_ways_through_pages(self):
        for n in range(12):
            self.conversation.messages.create(author="alice", body=f"number {n}")
        self.assertEqual([each.index for each in self.conversation.messages.list(page_size=5)], list(range(12)))
        newest = self.conversation.messages.list(order="desc", limit=3)
        self.assertEqual([each.index for each in newest], [11, 10, 9])
        page = self.conversation.messages.page(order="desc", page_size=5)
        self.conversation.messages.create(body="meanwhile")
        self.assertEqual([each.index for each in page.next_page()], [6, 5, 4, 3, 2])

    def test_a_message_wakes_an_inactive_conversation(self):
        self.conversation.update(state="inactive")
        self.conversation.messages.create(body="wake up")
        self.assertEqual(self.conversation.fetch().state, "active")

    def test_scoped_webhooks(self):
        webhook = self.conversation.webhooks.create(
            target="webhook",
            configuration_url=f"{self.told.url}/scoped",
            configuration_method="post",
            configuration_filters=["onMessageAdded", "onMessageUpdated"],
        )
        self.assertSid("WH", webhook.sid)
        self.assertEqual(webhook.configuration["filters"], ["onMessageAdded", "onMessageUpdated"])
        updated = self.conversation.webhooks(webhook.sid).update(configuration_filters=["onMessageAdded"])
        self.assertEqual(updated.configuration["filters"], ["onMessageAdded"])
        self.assertEqual([each.sid for each in self.conversation.webhooks.list()], [webhook.sid])
        message = self.conversation.messages.create(body="tell them", x_twilio_webhook_enabled="true")
        told = self.told.first(WebhookSid=webhook.sid, MessageSid=message.sid)
        self.assertEqual(told["fields"]["Body"], "tell them")
        self.assertTrue(self.conversation.webhooks(webhook.sid).delete())
        self.assertRefused(404, 20404, self.conversation.webhooks(webhook.sid).fetch)

    def test_scoped_webhooks_that_cannot_be(self):
        create = self.conversation.webhooks.create
        self.assertRefused(400, 50369, create, target="webhook")
        self.assertRefused(400, 50364, create, target="pigeon")
        url = "https://example.com/hook"
        self.assertRefused(400, 50365, create, target="webhook", configuration_url=url, configuration_filters=["onWish"])

    def test_a_trigger_is_a_keyword(self):
        trigger = self.conversation.webhooks.create(
            target="trigger", configuration_url=f"{self.told.url}/trigger", configuration_triggers=["help"]
        )
        for body in ["no keyword", "please help"]:
            self.conversation.messages.create(body=body, x_twilio_webhook_enabled="true")
        self.assertEqual(self.told.first(WebhookSid=trigger.sid)["fields"]["Body"], "please help")


class MessagesOfTheDefaultService(DefaultService, Messages, MockTest):
    pass


class MessagesOfAService(ServiceScoped, Messages, MockTest):
    pass


class Receipts:
    def setUp(self):
        self.sid = self.api.conversations.create().sid
        self.conversation = self.api.conversations(self.sid)
        self.conversation.participants.create(identity="alice")
        self.address = f"+1555135{next(_phones)}"
        self.sms = self.conversation.participants.create(
            messaging_binding_address=self.address, messaging_binding_proxy_address=NUMBER
        )
        self.message = self.conversation.messages.create(author="alice", body="to a phone")

    def progress(self, status, **more):
        self.control(
            "delivery",
            conversation_sid=self.sid,
            message_sid=self.message.sid,
            participant_sid=self.sms.sid,
            status=status,
            **more,
        )

    def test_delivered(self):
        self.assertEqual((self.message.delivery["total"], self.message.delivery["delivered"]), (1, "none"))
        self.progress("delivered")
        message = self.conversation.messages(self.message.sid)
        [receipt] = message.delivery_receipts.list()
        self.assertSid("DY", receipt.sid)
        self.assertEqual((receipt.status, receipt.participant_sid, receipt.error_code), ("delivered", self.sms.sid, 0))
        self.assertEqual(message.delivery_receipts(receipt.sid).fetch().message_sid, self.message.sid)
        self.assertEqual(message.fetch().delivery["delivered"], "all")
        self.assertRefused(404, 20404, message.delivery_receipts(nothing("DY")).fetch)

    def test_undelivered(self):
        self.progress("undelivered", error_code=30003)
        [receipt] = self.conversation.messages(self.message.sid).delivery_receipts.list()
        self.assertEqual((receipt.status, receipt.error_code), ("undelivered", 30003))

    def test_what_a_phone_writes_is_a_message(self):
        self.control("inbound-sms", **{"from": self.address, "body": "from my phone"})
        [newest] = self.conversation.messages.list(order="desc", limit=1)
        self.assertEqual(
            (newest.author, newest.body, newest.participant_sid), (self.address, "from my phone", self.sms.sid)
        )

    def test_a_body_too_long_for_sms(self):
        self.assertRefused(400, 50504, self.conversation.messages.create, body="x" * 1601)


class ReceiptsOfTheDefaultService(DefaultService, Receipts, MockTest):
    pass


class ReceiptsOfAService(ServiceScoped, Receipts, MockTest):
    pass


class Media(MockTest):
    """No helper library speaks to the media service; this is HTTP."""

    CONTENT = bytes(range(256))

    def ask(self, method, path, body=None, content_type=None, anonymous=False):
        headers = {"Content-Type": content_type} if content_type else {}
        if not anonymous:
            headers["Authorization"] = "Basic " + base64.b64encode(f"{ACCOUNT}:{AUTH_TOKEN}".encode()).decode()
        url = path if path.startswith("http") else f"{self.url}/v1/Services/{SERVICE}{path}"
        request = urllib.request.Request(url, body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read()

    def upload(self):
        status, body = self.ask("POST", "/Media?Filename=car.png", self.CONTENT, "image/png")
        self.assertEqual(status, 201)
        return json.loads(body)

    def test_upload_and_content(self):
        record = self.upload()
        self.assertSid("ME", record["sid"])
        self.assertEqual((record["size"], record["content_type"], record["filename"]), (256, "image/png", "car.png"))
        self.assertEqual(self.ask("GET", f"/Media/{record['sid']}/Content"), (200, self.CONTENT))
        temporary = json.loads(self.ask("GET", f"/Media/{record['sid']}")[1])["links"]["content_direct_temporary"]
        self.assertEqual(self.ask("GET", temporary, anonymous=True), (200, self.CONTENT))
        self.assertEqual(self.ask("GET", f"/Media/{record['sid']}", anonymous=True)[0], 401)

    def test_send_it_once(self):
        sid = self.upload()["sid"]
        conversation = self.v1.conversations(self.v1.conversations.create().sid)
        [media] = conversation.messages.create(media_sid=sid).media
        self.assertEqual((media["sid"], media["size"], media["filename"]), (sid, 256, "car.png"))
        self.assertRefused(409, 50508, conversation.messages.create, media_sid=sid)
        self.assertRefused(404, 50507, conversation.messages.create, media_sid=nothing("ME"))
        self.assertRefused(400, 50510, conversation.messages.create, media_sid="nonsense")

    def test_several_at_once_and_delete(self):
        sid = self.upload()["sid"]
        wanted = {"command": "get", "list": [{"media_sid": sid}, {"media_sid": nothing("ME")}]}
        _, body = self.ask("POST", "/MediaSet", json.dumps(wanted).encode(), "application/json")
        self.assertEqual([each["code"] for each in json.loads(body)], [200, 404])
        self.assertEqual(self.ask("DELETE", f"/Media/{sid}")[0], 204)
        self.assertEqual(self.ask("GET", f"/Media/{sid}")[0], 404)
