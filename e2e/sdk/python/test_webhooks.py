"""Webhooks: each one has to be what the library's own validator accepts (see `Receiver`), and to say what happened."""

from twilio.request_validator import RequestValidator

from mock import ACCOUNT, AUTH_TOKEN, NUMBER, SERVICE, MockTest

TOLD = {"x_twilio_webhook_enabled": "true"}


class AfterTheFact(MockTest):
    def setUp(self):
        self.sid = self.v1.conversations.create(friendly_name="Told", **TOLD).sid
        self.conversation = self.v1.conversations(self.sid)

    def test_a_conversation(self):
        fields = self.told.first(EventType="onConversationAdded", ConversationSid=self.sid)["fields"]
        self.assertEqual(
            (fields["AccountSid"], fields["ChatServiceSid"], fields["Source"], fields["FriendlyName"]),
            (ACCOUNT, SERVICE, "API", "Told"),
        )
        self.conversation.update(state="inactive", **TOLD)
        self.told.first(ConversationSid=self.sid, StateFrom="active", StateTo="inactive", Reason="API")
        self.told.first(EventType="onConversationUpdated", ConversationSid=self.sid, State="inactive")

    def test_a_message_with_everything_that_is_hard_to_sign(self):
        body = "ünï & = + % \r\n 👩‍🚀 \"quoted\" 'single'"
        message = self.conversation.messages.create(author="alice", body=body, attributes='{"a":"&b=c"}', **TOLD)
        told = self.told.first(EventType="onMessageAdded", MessageSid=message.sid)
        self.assertEqual((told["fields"]["Body"], told["fields"]["Attributes"]), (body, '{"a":"&b=c"}'))
        self.assertEqual(told["headers"]["User-Agent"], "TwilioProxy/1.1")
        self.assertRegex(told["headers"]["I-Twilio-Idempotency-Token"], r"\A[0-9a-f-]{36}\Z")

    def test_a_forged_one_is_told(self):
        message = self.conversation.messages.create(body="genuine", **TOLD)
        told = self.told.first(MessageSid=message.sid)
        url, signature = self.told.url + told["url"], told["headers"]["X-Twilio-Signature"]
        validator = RequestValidator(AUTH_TOKEN)
        self.assertTrue(validator.validate(url, told["fields"], signature))
        self.assertFalse(validator.validate(url, {**told["fields"], "Body": "forged"}, signature))
        self.assertFalse(RequestValidator("another token").validate(url, told["fields"], signature))

    def test_a_phone(self):
        sms = self.conversation.participants.create(
            messaging_binding_address="+15551370001", messaging_binding_proxy_address=NUMBER, **TOLD
        )
        self.told.first(ParticipantSid=sms.sid, MessagingBinding__Type="SMS", MessagingBinding__Address="+15551370001")
        self.control("inbound-sms", **{"from": "+15551370001", "body": "hello"})
        told = self.told.first(EventType="onMessageAdded", Author="+15551370001")
        self.assertEqual((told["fields"]["Source"], told["fields"]["Body"]), ("SMS", "hello"))
        message = self.conversation.messages.create(body="to the phone")
        self.control(
            "delivery",
            conversation_sid=self.sid,
            message_sid=message.sid,
            participant_sid=sms.sid,
            status="delivered",
        )
        self.told.first(EventType="onDeliveryUpdated", MessageSid=message.sid, Status="delivered")

    def test_what_rest_does_quietly_is_told_to_nobody(self):
        self.conversation.messages.create(body="quiet")
        loud = self.conversation.messages.create(body="loud", **TOLD)
        self.told.first(MessageSid=loud.sid)
        self.assertFalse([each for each in self.told.received if each["fields"].get("Body") == "quiet"])

    def test_the_order_of_a_conversation(self):
        for n in range(20):
            self.conversation.messages.create(body=str(n), **TOLD)
        self.told.first(ConversationSid=self.sid, Body="19")
        told = [each["fields"] for each in self.told.all("onMessageAdded")]
        bodies = [int(fields["Body"]) for fields in told if fields["ConversationSid"] == self.sid]
        self.assertEqual(bodies, list(range(20)))


class BeforeTheFact(MockTest):
    def setUp(self):
        self.v1.configuration.webhooks().update(
            pre_webhook_url=f"{self.told.url}/before", filters=["onMessageAdd", "onMessageAdded"]
        )
        self.conversation = self.v1.conversations(self.v1.conversations.create().sid)

    def answer(self, answer):
        self.told.answer = lambda fields: answer if fields["EventType"] == "onMessageAdd" else (200, None)

    def test_it_may_change_what_is_sent(self):
        self.answer((200, {"body": "changed", "author": "moderator"}))
        message = self.conversation.messages.create(body="as written", **TOLD)
        self.assertEqual((message.body, message.author), ("changed", "moderator"))

    def test_it_may_let_pass(self):
        self.answer((200, {}))
        self.assertEqual(self.conversation.messages.create(body="as written", **TOLD).body, "as written")

    def test_it_may_refuse(self):
        self.answer((403, None))
        with self.assertRaises(Exception) as caught:
            self.conversation.messages.create(body="refused", **TOLD)
        self.assertEqual(caught.exception.code, 50056)
        self.assertEqual(self.conversation.messages.list(), [])


class AsGet(MockTest):
    def test_the_fields_are_in_the_signed_query(self):
        scope = self.v1.services(self.v1.services.create(friendly_name="GET").sid)
        scope.configuration.webhooks().update(
            method="GET", post_webhook_url=f"{self.told.url}/query?shop=caf%C3%A9", filters=["onConversationAdded"]
        )
        sid = scope.conversations.create(friendly_name="a & b", **TOLD).sid
        # The account's own webhook tells of it too, without the shop.
        told = self.told.first(ConversationSid=sid, FriendlyName="a & b", shop="café")
        self.assertEqual(told["method"], "GET")
        self.assertTrue(told["url"].startswith("/query?shop=caf%C3%A9&"), told["url"])


class OnDemand(MockTest):
    def test_429(self):
        self.control("faults", method="POST", path="/Conversations$", times=1, action={"status": 429})
        self.assertRefused(429, 20429, self.v1.conversations.create)
        self.assertSid("CH", self.v1.conversations.create().sid)
