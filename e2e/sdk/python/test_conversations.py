"""Conversations and their lists, as Twilio's Python library sees them."""

import json
from datetime import datetime, timezone
from urllib.parse import parse_qs, urlsplit

from mock import ACCOUNT, API_KEY, API_KEY_SECRET, NUMBER, SERVICE, DefaultService, MockTest, ServiceScoped, nothing, until


class Conversations:
    def test_an_empty_one_takes_every_default(self):
        empty = self.api.conversations.create()
        self.assertSid("CH", empty.sid)
        self.assertEqual((empty.account_sid, empty.chat_service_sid), (ACCOUNT, SERVICE))
        self.assertEqual(
            (empty.friendly_name, empty.unique_name, empty.attributes, empty.state, empty.timers),
            (None, None, "{}", "active", {}),
        )
        self.assertLess(abs((datetime.now(timezone.utc) - empty.date_created).total_seconds()), 60)
        self.assertTrue(self.api.conversations(empty.sid).delete())

    def test_create_keeps_what_is_given(self):
        created = self.api.conversations.create(
            friendly_name="Support",
            unique_name=f"given {self.form}",
            attributes=json.dumps({"topic": "billing"}),
            date_created=datetime(2024, 2, 3, 4, 5, 6, tzinfo=timezone.utc),
        )
        self.assertEqual((created.friendly_name, created.unique_name), ("Support", f"given {self.form}"))
        self.assertEqual(json.loads(created.attributes), {"topic": "billing"})
        self.assertEqual(created.date_created, datetime(2024, 2, 3, 4, 5, 6, tzinfo=timezone.utc))

    def test_the_address_echoes_the_form_of_the_path(self):
        created = self.api.conversations.create()
        root = f"{self.url}/v1" if self.form == "default service" else f"{self.url}/v1/Services/{SERVICE}"
        self.assertEqual(created.url, f"{root}/Conversations/{created.sid}")
        self.assertEqual(created.links["participants"], f"{created.url}/Participants")

    def test_fetch_finds_it_by_sid_and_by_unique_name(self):
        created = self.api.conversations.create(unique_name=f"found {self.form}")
        self.assertEqual(self.api.conversations(created.sid).fetch().unique_name, f"found {self.form}")
        self.assertEqual(self.api.conversations(f"found {self.form}").fetch().sid, created.sid)

    def test_a_unique_name_is_taken_once(self):
        self.api.conversations.create(unique_name=f"once {self.form}")
        refused = self.assertRefused(409, 50353, self.api.conversations.create, unique_name=f"once {self.form}")
        self.assertIn("Conversation with provided unique name already exists", refused.msg)

    def test_update_changes_what_is_given(self):
        created = self.api.conversations.create(friendly_name="Support", attributes='{"a":1}')
        updated = self.api.conversations(created.sid).update(friendly_name="Sales")
        self.assertEqual((updated.friendly_name, updated.attributes), ("Sales", '{"a":1}'))

    def test_what_is_wrong_is_refused(self):
        create = self.api.conversations.create
        self.assertRefused(400, 50304, create, attributes="{topic}")
        self.assertRefused(400, 50303, create, attributes=json.dumps("x" * 16 * 1024))
        self.assertRefused(400, 50003, create, friendly_name="x" * 257)
        self.assertRefused(400, 50390, create, unique_name=nothing("CH"))
        self.assertRefused(400, 50384, create, state="closed")

    def test_what_is_not_there_is_20404(self):
        refused = self.assertRefused(404, 20404, self.api.conversations(nothing("CH")).fetch)
        scope = "" if self.form == "default service" else f"/Services/{SERVICE}"
        self.assertIn(f"The requested resource {scope}/Conversations/{nothing('CH')} was not found", refused.msg)

    def test_timers_and_states(self):
        timed = self.api.conversations.create(timers_inactive="PT1M", timers_closed="PT10M")
        self.assertEqual(sorted(timed.timers), ["date_closed", "date_inactive"])
        update = self.api.conversations(timed.sid).update
        self.assertRefused(400, 50375, update, timers_inactive="PT59S")
        self.assertRefused(400, 50376, update, timers_closed="PT9M")
        self.assertRefused(400, 50380, update, timers_closed="later")
        self.assertRefused(400, 50378, update, state="asleep")
        self.assertEqual(update(state="inactive").state, "inactive")

    def test_closed_is_final(self):
        conversation = self.api.conversations(self.api.conversations.create().sid)
        self.assertEqual(conversation.update(state="closed").state, "closed")
        self.assertRefused(400, 50377, conversation.update, friendly_name="again")
        self.assertRefused(400, 50377, conversation.messages.create, body="hello")
        self.assertRefused(400, 50377, conversation.participants.create, identity="alice")
        self.assertEqual(conversation.fetch().state, "closed")
        self.assertEqual(conversation.messages.list(), [])

    def test_delete_takes_all_below_it_away(self):
        created = self.api.conversations.create(unique_name=f"gone {self.form}")
        self.assertTrue(self.api.conversations(created.sid).delete())
        self.assertRefused(404, 20404, self.api.conversations(f"gone {self.form}").fetch)
        self.assertRefused(404, 20404, self.api.conversations(created.sid).messages.create, body="hello")
        self.assertTrue(self.api.conversations.create(unique_name=f"gone {self.form}").sid)

    def test_with_participants(self):
        phone = "+15551330001" if self.form == "default service" else "+15551330002"
        created = self.api.conversation_with_participants.create(
            friendly_name="All at once",
            participant=[
                json.dumps({"identity": "alice"}),
                json.dumps({"messaging_binding": {"address": phone, "proxy_address": NUMBER}}),
            ],
        )
        self.assertEqual((created.state, created.friendly_name), ("initializing", "All at once"))
        conversation = self.api.conversations(created.sid)
        until("it to be active", lambda: conversation.fetch().state == "active")
        people = [each.identity or each.messaging_binding["address"] for each in conversation.participants.list()]
        self.assertEqual(sorted(people), [phone, "alice"])

    def test_with_too_many_participants(self):
        many = [json.dumps({"identity": f"person-{n}"}) for n in range(11)]
        with self.assertRaises(Exception) as caught:
            self.api.conversation_with_participants.create(participant=many)
        self.assertEqual(caught.exception.code, 50426)


class ConversationsOfTheDefaultService(DefaultService, Conversations, MockTest):
    pass


class ConversationsOfAService(ServiceScoped, Conversations, MockTest):
    pass


class Lists(MockTest):
    def setUp(self):
        self.scope = self.v1.services(self.v1.services.create(friendly_name="Lists").sid)
        self.sids = [self.scope.conversations.create(friendly_name=f"n{n}").sid for n in range(7)]

    def test_the_latest_activity_comes_first(self):
        self.scope.conversations(self.sids[2]).messages.create(body="up")
        names = [each.friendly_name for each in self.scope.conversations.list()]
        self.assertEqual(names, ["n2", "n6", "n5", "n4", "n3", "n1", "n0"])

    def test_list_walks_all_pages(self):
        found = [each.sid for each in self.scope.conversations.list(page_size=2)]
        self.assertEqual(sorted(found), sorted(self.sids))

    def test_list_stops_at_its_limit(self):
        self.assertEqual(len(self.scope.conversations.list(limit=5, page_size=2)), 5)

    def test_stream(self):
        names = [each.friendly_name for each in self.scope.conversations.stream(page_size=3)]
        self.assertEqual(len(set(names)), 7)

    def test_pages_lead_forth_and_back_and_by_token(self):
        first = self.scope.conversations.page(page_size=3)
        self.assertIsNone(first.previous_page_url)
        token = parse_qs(urlsplit(first.next_page_url).query)["PageToken"][0]
        self.assertTrue(token.startswith("PT"))
        second = first.next_page()
        second_sids = [each.sid for each in second]
        third = self.scope.conversations.get_page(second.next_page_url)
        self.assertIsNone(third.next_page_url)
        self.assertEqual([each.sid for each in third.previous_page()], second_sids)
        by_token = self.scope.conversations.page(page_size=3, page_token=token)
        self.assertEqual([each.sid for each in by_token], second_sids)

    def test_filters_stay_through_the_pages(self):
        for sid in self.sids[:3]:
            self.scope.conversations(sid).update(state="inactive")
        inactive = self.scope.conversations.list(state="inactive", page_size=1)
        self.assertEqual(sorted(each.sid for each in inactive), sorted(self.sids[:3]))

    def test_filters_by_date(self):
        old = self.scope.conversations.create(date_created=datetime(2020, 5, 5, 12, tzinfo=timezone.utc))
        found = self.scope.conversations.list(start_date="2020-05-05T00:00:00Z", end_date="2020-05-05T23:59:59Z")
        self.assertEqual([each.sid for each in found], [old.sid])


class Credentials(MockTest):
    def test_an_api_key_is_as_good_as_the_auth_token(self):
        conversations = self.client(API_KEY, API_KEY_SECRET).conversations.v1.conversations
        self.assertSid("CH", conversations.create().sid)

    def test_a_wrong_password_is_20003(self):
        self.assertRefused(401, 20003, self.client(ACCOUNT, "wrong").conversations.v1.conversations.create)
