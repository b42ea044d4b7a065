"""Participants, users, roles, and what is known of each: as Twilio's Python library sees them."""

import itertools

from mock import NUMBER, SERVICE, DefaultService, MockTest, ServiceScoped, nothing

_phones = itertools.count(1000)


def phone():
    return f"+1555134{next(_phones)}"


class Participants:
    def setUp(self):
        self.sid = self.api.conversations.create().sid
        self.conversation = self.api.conversations(self.sid)

    def add_phone(self, address, proxy_address=NUMBER):
        return self.conversation.participants.create(
            messaging_binding_address=address, messaging_binding_proxy_address=proxy_address
        )

    def test_somebody_on_chat(self):
        alice = self.conversation.participants.create(identity="alice", attributes='{"seat":1}')
        self.assertSid("MB", alice.sid)
        self.assertSid("RL", alice.role_sid)
        self.assertEqual(
            (alice.identity, alice.messaging_binding, alice.attributes, alice.last_read_message_index),
            ("alice", None, '{"seat":1}', None),
        )
        refused = self.assertRefused(409, 50433, self.conversation.participants.create, identity="alice")
        self.assertIn("Participant already exists", refused.msg)

    def test_nobody_at_all(self):
        self.assertRefused(400, 50204, self.conversation.participants.create)

    def test_an_sms_phone(self):
        address = phone()
        sms = self.add_phone(address)
        self.assertIsNone(sms.identity)
        self.assertEqual(sms.messaging_binding, {"type": "sms", "address": address, "proxy_address": NUMBER})
        other = self.api.conversations(self.api.conversations.create().sid)
        again = {"messaging_binding_address": address, "messaging_binding_proxy_address": NUMBER}
        refused = self.assertRefused(409, 50416, other.participants.create, **again)
        self.assertTrue(refused.msg.endswith(f"already exists in Conversation {self.sid}"), refused.msg)
        self.conversation.update(state="closed")
        self.assertSid("MB", other.participants.create(**again).sid)

    def test_a_whatsapp_phone(self):
        created = self.add_phone(f"whatsapp:{phone()}", f"whatsapp:{NUMBER}")
        self.assertEqual(created.messaging_binding["type"], "whatsapp")

    def test_bindings_that_cannot_be(self):
        self.assertRefused(400, 50407, self.add_phone, "not a phone")
        self.assertRefused(400, 50409, self.add_phone, NUMBER)
        self.assertRefused(403, 50413, self.add_phone, phone(), "+15005550999")
        self.assertRefused(400, 50414, self.add_phone, f"whatsapp:{phone()}")

    def test_a_group_text(self):
        add = self.conversation.participants.create
        alice = add(identity="alice", messaging_binding_projected_address=NUMBER)
        self.assertEqual(alice.messaging_binding, {"type": "sms", "projected_address": NUMBER})
        add(messaging_binding_address=phone())
        self.assertRefused(400, 50435, self.conversation.messages.create, author="alice", body="too few")
        self.assertIsNone(add(messaging_binding_address=phone()).role_sid)
        self.assertRefused(400, 50513, self.conversation.messages.create, author="stranger", body="who?")
        message = self.conversation.messages.create(author="alice", body="to all")
        self.assertEqual(message.delivery["total"], 2)

    def test_fetch_by_sid_and_by_identity(self):
        alice = self.conversation.participants.create(identity="alice")
        self.assertEqual(self.conversation.participants(alice.sid).fetch().identity, "alice")
        self.assertEqual(self.conversation.participants("alice").fetch().sid, alice.sid)
        self.assertRefused(404, 20404, self.conversation.participants(nothing("MB")).fetch)

    def test_the_read_horizon(self):
        alice = self.conversation.participants.create(identity="alice")
        self.conversation.messages.create(body="one")
        read = self.conversation.participants(alice.sid).update(last_read_message_index=0)
        self.assertEqual(read.last_read_message_index, 0)
        self.assertIsNotNone(read.last_read_timestamp)

    def test_a_role_there_is_not(self):
        self.assertRefused(
            404, 50109, self.conversation.participants.create, identity="alice", role_sid=nothing("RL")
        )

    def test_list(self):
        for identity in ["alice", "bob", "carol"]:
            self.conversation.participants.create(identity=identity)
        listed = [each.identity for each in self.conversation.participants.list(page_size=1)]
        self.assertEqual(listed, ["alice", "bob", "carol"])
        self.assertEqual(len(self.conversation.participants.list(limit=2)), 2)

    def test_delete_by_identity(self):
        self.conversation.participants.create(identity="bob")
        self.assertTrue(self.conversation.participants("bob").delete())
        self.assertRefused(404, 20404, self.conversation.participants("bob").fetch)


class ParticipantsOfTheDefaultService(DefaultService, Participants, MockTest):
    pass


class ParticipantsOfAService(ServiceScoped, Participants, MockTest):
    pass


class Users:
    def test_create_and_fetch(self):
        identity = f"carol {self.form}"
        user = self.api.users.create(identity=identity, friendly_name="Carol", attributes='{"team":"east"}')
        self.assertSid("US", user.sid)
        self.assertEqual(
            (user.friendly_name, user.attributes, user.is_online, user.chat_service_sid),
            ("Carol", '{"team":"east"}', None, SERVICE),
        )
        self.assertEqual(self.api.users(identity).fetch().sid, user.sid)
        self.assertRefused(409, 50201, self.api.users.create, identity=identity)
        self.assertRefused(404, 20404, self.api.users(nothing("US")).fetch)

    def test_update_and_delete(self):
        user = self.api.users.create(identity=f"dora {self.form}")
        updated = self.api.users(user.sid).update(friendly_name="Dora", attributes="[]")
        self.assertEqual((updated.friendly_name, updated.attributes), ("Dora", "[]"))
        self.assertRefused(400, 50304, self.api.users(user.sid).update, attributes="nope")
        self.assertTrue(self.api.users(user.sid).delete())
        self.assertRefused(404, 20404, self.api.users(user.sid).fetch)

    def test_a_new_participant_becomes_a_user(self):
        conversation = self.api.conversations(self.api.conversations.create().sid)
        conversation.participants.create(identity=f"dan {self.form}")
        self.assertEqual(self.api.users(f"dan {self.form}").fetch().identity, f"dan {self.form}")
        self.assertIn(f"dan {self.form}", [each.identity for each in self.api.users.list(page_size=1)])


class UsersOfTheDefaultService(DefaultService, Users, MockTest):
    pass


class UsersOfAService(ServiceScoped, Users, MockTest):
    pass


class Memberships:
    identity = "erin"

    def setUp(self):
        self.sids = []
        self.identity = f"erin of {self.id()}".replace("/", " ")
        for name in ["first", "second", "third"]:
            sid = self.api.conversations.create(friendly_name=name).sid
            self.api.conversations(sid).participants.create(identity=self.identity)
            for body in ["one", "two", "three"]:
                self.api.conversations(sid).messages.create(body=body)
            self.sids.append(sid)

    def test_nothing_is_read_at_first(self):
        found = self.api.users(self.identity).user_conversations.list(page_size=2)
        self.assertEqual(sorted(each.conversation_sid for each in found), sorted(self.sids))
        self.assertEqual([each.unread_messages_count for each in found], [None] * 3)

    def test_a_read_horizon_makes_an_unread_count(self):
        mine = self.api.users(self.identity).user_conversations(self.sids[0])
        read = mine.update(last_read_message_index=0)
        self.assertEqual((read.last_read_message_index, read.unread_messages_count), (0, 2))
        self.assertEqual(mine.fetch().friendly_name, "first")

    def test_muted(self):
        mine = self.api.users(self.identity).user_conversations(self.sids[1])
        self.assertEqual(mine.update(notification_level="muted").notification_level, "muted")
        self.assertRefused(400, 50210, mine.update, notification_level="loud")

    def test_delete_leaves_the_conversation(self):
        self.assertTrue(self.api.users(self.identity).user_conversations(self.sids[2]).delete())
        self.assertRefused(404, 20404, self.api.conversations(self.sids[2]).participants(self.identity).fetch)
        self.assertEqual(len(self.api.users(self.identity).user_conversations.list()), 2)

    def test_participant_conversations_by_identity(self):
        found = self.api.participant_conversations.list(identity=self.identity, page_size=1)
        self.assertEqual([each.conversation_sid for each in found], sorted(self.sids))
        self.assertEqual(found[0].participant_identity, self.identity)

    def test_participant_conversations_by_address(self):
        address = phone()
        self.api.conversations(self.sids[0]).participants.create(
            messaging_binding_address=address, messaging_binding_proxy_address=NUMBER
        )
        [found] = self.api.participant_conversations.list(address=address)
        self.assertEqual(found.conversation_friendly_name, "first")
        self.assertEqual(found.participant_messaging_binding["address"], address)


class MembershipsInTheDefaultService(DefaultService, Memberships, MockTest):
    pass


class MembershipsInAService(ServiceScoped, Memberships, MockTest):
    pass


class Roles:
    def test_a_service_begins_with_four(self):
        names = {each.friendly_name for each in self.api.roles.list()}
        self.assertLessEqual({"service admin", "service user", "channel admin", "channel user"}, names)

    def test_create_fetch_update_delete(self):
        permission = ["sendMessage", "leaveConversation"]
        role = self.api.roles.create(friendly_name=f"guest {self.form}", type="conversation", permission=permission)
        self.assertSid("RL", role.sid)
        self.assertEqual((role.type, sorted(role.permissions)), ("conversation", sorted(permission)))
        self.assertEqual(self.api.roles(role.sid).update(permission=["editOwnMessage"]).permissions, ["editOwnMessage"])
        self.assertEqual(self.api.roles(role.sid).fetch().friendly_name, f"guest {self.form}")
        self.assertTrue(self.api.roles(role.sid).delete())
        self.assertRefused(404, 20404, self.api.roles(role.sid).fetch)

    def test_a_type_there_is_not(self):
        create = self.api.roles.create
        self.assertRefused(400, 50105, create, friendly_name="x", type="planet", permission=["sendMessage"])


class RolesOfTheDefaultService(DefaultService, Roles, MockTest):
    pass


class RolesOfAService(ServiceScoped, Roles, MockTest):
    pass
