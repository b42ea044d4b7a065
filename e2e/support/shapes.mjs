// What the document's objects look like, to the field.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

export const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
export const sid = (prefix) => new RegExp(`^${prefix}[0-9a-f]{32}$`);

/** A printed sample of the document, from `fixtures/conversations`. */
export function printed(name) {
  return JSON.parse(readFileSync(new URL(`../../fixtures/conversations/${name}.json`, import.meta.url), "utf8"));
}

/**
 * Asserts that `actual` has exactly the fields of `expected`, and maybe those of `also` (additive ones).
 * A pattern stands for any text it matches; anything else must be equal.
 */
export function exact(actual, expected, also = []) {
  assert.ok(actual !== null && typeof actual === "object", `an object, not ${JSON.stringify(actual)}`);
  const whole = JSON.stringify(actual);
  const fields = Object.keys(actual).filter((field) => field in expected || !also.includes(field));
  assert.deepEqual(fields.sort(), Object.keys(expected).sort(), `the fields of ${whole}`);
  for (const [field, value] of Object.entries(expected)) {
    if (value instanceof RegExp) {
      assert.match(String(actual[field]), value, `${field} of ${whole}`);
      assert.equal(typeof actual[field], "string", `${field} of ${whole}`);
    } else {
      assert.deepEqual(actual[field], value, `${field} of ${whole}`);
    }
  }
  return actual;
}

/** A message as history and `new_message` show it: the document's fields, both dates, and the additive ones. */
export function exactMessage(actual, { author, body, media = [], index, media_urls = media, ...more }) {
  exact(
    actual,
    {
      sid: sid("IM"),
      body,
      author,
      date_created: TIME,
      dateCreated: TIME,
      media,
      media_urls,
      index: index ?? actual.index,
      ...more,
    },
    ["clientMessageId"],
  );
  assert.ok(Number.isSafeInteger(actual.index) && actual.index >= 0, `index of ${JSON.stringify(actual)}`);
  assert.equal(actual.date_created, actual.dateCreated, "both dates are one");
  return actual;
}

/** The whole `new_message` event. */
export function exactNewMessage(actual, conversationSid, message, more = {}) {
  exact(actual, { conversationSid, message: actual.message, timestamp: TIME, ...more }, ["clientMessageId"]);
  return exactMessage(actual.message, message);
}

/** One user of `conversation_users` and `online_users`. */
export function exactUsers(actual, identities) {
  assert.deepEqual(actual.map((user) => user.identity).sort(), identities.toSorted());
  for (const user of actual) exact(user, { userId: user.identity, identity: user.identity, lastSeen: TIME });
}
