"""What is configured: services, webhooks, addresses, credentials, notifications. As Twilio's Python library sees it."""

from mock import ACCOUNT, NUMBER, SERVICE, MockTest, nothing


class Services(MockTest):
    def test_create_list_fetch_delete(self):
        service = self.v1.services.create(friendly_name="Second")
        self.assertSid("IS", service.sid)
        self.assertEqual(self.v1.services(service.sid).fetch().friendly_name, "Second")
        self.assertLessEqual({SERVICE, service.sid}, {each.sid for each in self.v1.services.list(page_size=1)})
        conversation = self.v1.services(service.sid).conversations.create()
        self.assertTrue(self.v1.services(service.sid).delete())
        self.assertRefused(404, 20404, self.v1.services(service.sid).conversations(conversation.sid).fetch)

    def test_a_service_is_its_own_world(self):
        other = self.v1.services(self.v1.services.create(friendly_name="Other").sid)
        self.v1.conversations.create(unique_name="shared")
        self.assertRefused(404, 20404, other.conversations("shared").fetch)
        self.assertSid("CH", other.conversations.create(unique_name="shared").sid)
        self.assertEqual(other.users.list(), [])


class Configuration(MockTest):
    def test_of_the_account(self):
        self.assertEqual(self.v1.configuration().fetch().default_chat_service_sid, SERVICE)
        updated = self.v1.configuration().update(default_inactive_timer="PT2M", default_closed_timer="PT20M")
        self.assertEqual((updated.default_inactive_timer, updated.default_closed_timer), ("PT2M", "PT20M"))
        self.assertEqual(sorted(self.v1.conversations.create().timers), ["date_closed", "date_inactive"])

    def test_of_a_service(self):
        scope = self.v1.services(SERVICE)
        role = scope.roles.create(friendly_name="reader", type="conversation", permission=["leaveConversation"])
        scope.configuration().update(default_conversation_role_sid=role.sid, reachability_enabled=True)
        self.assertTrue(scope.configuration().fetch().reachability_enabled)
        participant = scope.conversations(scope.conversations.create().sid).participants.create(identity="rita")
        self.assertEqual(participant.role_sid, role.sid)
        self.control("user-online", identity="rita", online=True)
        self.assertTrue(scope.users("rita").fetch().is_online)

    def test_webhooks_of_the_account(self):
        updated = self.v1.configuration.webhooks().update(filters=["onMessageAdded"], method="GET")
        self.assertEqual((updated.method, updated.filters), ("GET", ["onMessageAdded"]))
        self.assertEqual(self.v1.configuration.webhooks().fetch().account_sid, ACCOUNT)

    def test_webhooks_of_a_service(self):
        webhooks = self.v1.services(SERVICE).configuration.webhooks()
        updated = webhooks.update(post_webhook_url="https://example.com/hook", filters=["onUserAdded"])
        self.assertEqual((updated.post_webhook_url, updated.filters), ("https://example.com/hook", ["onUserAdded"]))
        self.assertEqual(webhooks.fetch().chat_service_sid, SERVICE)

    def test_notifications(self):
        notifications = self.v1.services(SERVICE).configuration.notifications()
        updated = notifications.update(log_enabled=True, new_message_enabled=True, new_message_template="${USER} wrote")
        self.assertTrue(updated.log_enabled)
        self.assertEqual((updated.new_message["enabled"], updated.new_message["template"]), (True, "${USER} wrote"))
        self.assertTrue(notifications.fetch().new_message["enabled"])


class Addresses(MockTest):
    def setUp(self):
        self.address = self.v1.address_configurations.create(
            type="sms",
            address=NUMBER,
            friendly_name="Front desk",
            auto_creation_enabled=True,
            auto_creation_type="webhook",
            auto_creation_webhook_url="https://example.com/created",
            auto_creation_webhook_filters=["onMessageAdded", "onParticipantAdded"],
        )
        self.one = self.v1.address_configurations(self.address.sid)
        self.addCleanup(self.one.delete)

    def test_create_and_fetch_by_address_too(self):
        self.assertSid("IG", self.address.sid)
        self.assertEqual((self.address.type, self.address.address), ("sms", NUMBER))
        self.assertTrue(self.address.auto_creation["enabled"])
        self.assertEqual(self.one.fetch().friendly_name, "Front desk")
        self.assertEqual(self.v1.address_configurations(NUMBER).fetch().sid, self.address.sid)
        self.assertRefused(404, 20404, self.v1.address_configurations(nothing("IG")).fetch)

    def test_update_and_list(self):
        self.assertEqual(self.one.update(friendly_name="Back office").friendly_name, "Back office")
        listed = self.v1.address_configurations.list(type="sms")
        self.assertEqual([each.sid for each in listed], [self.address.sid])
        self.assertEqual(self.v1.address_configurations.list(type="whatsapp"), [])

    def test_an_unknown_phone_begins_a_conversation(self):
        self.one.update(auto_creation_type="default")
        self.control("inbound-sms", **{"from": "+15551360001", "body": "anybody there?"})
        [found] = self.v1.participant_conversations.list(address="+15551360001")
        [message] = self.v1.conversations(found.conversation_sid).messages.list()
        self.assertEqual((message.author, message.body), ("+15551360001", "anybody there?"))


class Push(MockTest):
    def test_credentials(self):
        credential = self.v1.credentials.create(type="fcm", friendly_name="Android", secret="server key")
        self.assertSid("CR", credential.sid)
        self.assertEqual((credential.type, credential.friendly_name), ("fcm", "Android"))
        one = self.v1.credentials(credential.sid)
        self.assertEqual(one.update(friendly_name="Phones").friendly_name, "Phones")
        self.assertEqual(one.fetch().account_sid, ACCOUNT)
        self.assertIn(credential.sid, [each.sid for each in self.v1.credentials.list()])
        self.assertTrue(one.delete())
        self.assertRefused(404, 20404, one.fetch)

    def test_bindings(self):
        credential = self.v1.credentials.create(type="fcm", secret="server key")
        created = self.control(
            "bindings",
            identity="alice",
            binding_type="fcm",
            endpoint="device-token",
            credential_sid=credential.sid,
        )
        bindings = self.v1.services(SERVICE).bindings
        found = bindings(created["sid"]).fetch()
        self.assertEqual((found.identity, found.binding_type, found.endpoint), ("alice", "fcm", "device-token"))
        self.assertEqual([each.sid for each in bindings.list(identity=["alice"])], [created["sid"]])
        self.assertEqual(bindings.list(binding_type=["apn"]), [])
        self.assertTrue(bindings(created["sid"]).delete())
        self.assertRefused(404, 20404, bindings(created["sid"]).fetch)
