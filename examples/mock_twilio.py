"""Twilio's Python library against `switchboard mock-twilio`.

    pip install twilio
    python mock_twilio.py
"""

import os

from twilio.rest import Client

client = Client("AC00000000000000000000000000000001", "mock-auth-token-of-no-account")
client.conversations.base_url = os.environ.get("MOCK_TWILIO", "http://127.0.0.1:3002")

sid = client.conversations.v1.conversations.create(friendly_name="Order 42").sid
client.conversations.v1.conversations(sid).participants.create(identity="alice")
client.conversations.v1.conversations(sid).messages.create(author="alice", body="Hello")

for message in client.conversations.v1.conversations(sid).messages.list():
    print(f"{message.author}: {message.body} ({message.sid})")
