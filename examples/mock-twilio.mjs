// Twilio's Node library against `switchboard mock-twilio`.
//
//   npm install --no-save twilio
//   node mock-twilio.mjs

import twilio from "twilio";

const client = twilio("AC00000000000000000000000000000001", "mock-auth-token-of-no-account");
client.conversations.baseUrl = process.env.MOCK_TWILIO ?? "http://127.0.0.1:3002";

const { sid } = await client.conversations.v1.conversations.create({ friendlyName: "Order 42" });
await client.conversations.v1.conversations(sid).participants.create({ identity: "alice" });
await client.conversations.v1.conversations(sid).messages.create({ author: "alice", body: "Hello" });

for (const message of await client.conversations.v1.conversations(sid).messages.list()) {
  console.log(`${message.author}: ${message.body} (${message.sid})`);
}
