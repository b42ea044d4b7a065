// Schemathesis asks a running service for everything that /openapi.json lists, with what the document allows and with what
// it does not, and holds every answer to it. Whoever asks is in conversations, groups and support already, so that
// answers are more than 404.
//
// SCHEMATHESIS_SEED and SCHEMATHESIS_MAX_EXAMPLES (for each operation) repeat a run, or make it longer.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { after, before, test } from "node:test";
import { Api } from "../support/api.mjs";
import { World } from "../support/world.mjs";

const SEED = process.env.SCHEMATHESIS_SEED ?? "1";
const MAX_EXAMPLES = process.env.SCHEMATHESIS_MAX_EXAMPLES ?? "12";
const AT_MOST_MS = 300_000;
/** Where `make e2e` puts it. */
const VENV = process.env.E2E_SCHEMATHESIS ?? fileURLToPath(new URL(".venv", import.meta.url));
const CHECKS = [
  "not_a_server_error",
  "status_code_conformance",
  "content_type_conformance",
  "response_headers_conformance",
  "response_schema_conformance",
  "negative_data_rejection",
  "ignored_auth",
  // Not `unsupported_method`, which wants 405: the documents' words for that are those of an unknown endpoint, 404.
];
/** How often a value is somebody or something that is there. */
const OFTEN = 0.7;

/** Asks in `mode`, as a user and as an admin. */
export function ask(mode) {
  let world;
  before(async () => {
    world = await World.start({ AUTH_MODE: mode });
  });
  after(() => world?.stop());

  test(`${mode}: the document is OpenAPI 3.1`, async () => {
    const file = join(world.scratch.path, "openapi.json");
    const answer = await fetch(`${world.url}/openapi.json`);
    writeFileSync(file, await answer.text());
    await run(world, "openapi-spec-validator", ["--schema", "3.1", file]);
  });

  for (const caller of [{ identity: "alice" }, { identity: "root", role: "admin" }]) {
    test(`${mode}: answers to ${caller.role ?? "a user"} are as the document says`, async () => {
      const token = await world.appToken(caller.identity, caller);
      const config = join(world.scratch.path, `${caller.identity}.toml`);
      writeFileSync(config, settings(await furnish(world, caller.identity)));
      try {
        const said = await run(world, "schemathesis", [
          ...["--config-file", config, "run", `${world.url}/openapi.json`],
          ...["--header", `Authorization: Bearer ${token}`, "--checks", CHECKS.join(",")],
          ...["--phases", "examples,coverage,fuzzing,stateful", "--max-examples", MAX_EXAMPLES, "--seed", SEED],
          ...["--continue-on-failure", "--no-color", "--warnings", "off"],
        ]);
        console.log(`${mode}, ${caller.identity}: ${/\d+ generated.*/.exec(said)?.[0]}; seed ${SEED}`);
      } catch (error) {
        process.stderr.write(world.log());
        throw error;
      }
      assert.equal((await fetch(`${world.url}/healthz`)).status, 200, "it lives");
    });
  }
}

/** Runs a program of the virtual environment, and gives what it said. What it remembers goes away with the world. */
function run(world, program, parameters) {
  const path = join(VENV, "bin", program);
  assert.ok(existsSync(path), `${path} is missing: run \`make e2e\`, or set E2E_SCHEMATHESIS`);
  const settings = { cwd: world.scratch.path, timeout: AT_MOST_MS, maxBuffer: 64 * 1024 * 1024 };
  return new Promise((resolve, reject) => {
    execFile(path, parameters, settings, (error, stdout, stderr) => {
      if (error) reject(new Error(`${program} found something, or failed\n${stdout}\n${stderr}`));
      else resolve(stdout);
    });
  });
}

/** Makes what `me` can ask for. */
async function furnish(world, me) {
  const api = new Api(world.url).as(await world.appToken("furnisher", { role: "admin" }));
  const mine = api.as(await world.appToken(me));
  const people = [`bob.${me}`, `carol.${me}`];
  for (const person of people) await api.as(await world.appToken(person)).call("GET", "/users/me");
  const made = async (method, path, body, id) => {
    const answer = await mine.call(method, path, body);
    assert.ok(answer.status < 300, `${method} ${path} answered ${answer.status} ${answer.text}`);
    return id(answer.body);
  };
  const conversation = () =>
    api.ok(undefined, "POST", "/api/conversations/create", { participants: [me, ...people] }).then((data) => data.conversation_sid);
  const conversations = [await conversation(), await conversation()];
  const messages = [];
  for (const body of ["one", "two", "three"]) {
    const path = `/api/conversations/${conversations[0]}/send-message`;
    messages.push(await made("POST", path, { author: me, body }, ({ data }) => data.message_sid));
  }
  return {
    conversations,
    messages,
    direct: [await made("POST", "/messages", { participantId: people[0] }, ({ data }) => data.id)],
    groups: [await made("POST", "/groups", { name: "us", memberIds: people }, ({ data }) => data.id)],
    support: [await made("GET", "/api/support/conversation", undefined, ({ data }) => data.id)],
    doomed: await Promise.all(Array.from({ length: 5 }, conversation)),
    people: [me, me, ...people],
    others: [people[1], "somebody.unknown"],
  };
}

/** Schemathesis' settings: which values parameters and fields often have. */
function settings(world) {
  const often = (...names) => (dictionary) => names.map((name) => `"${name}" = { dictionary = "${dictionary}", probability = ${OFTEN} }`);
  const only = (where, parameters) => ["[[operations]]", ...where, "[operations.parameters]", ...parameters, ""];
  return [
    ...Object.entries(world).flatMap(([name, values]) => [`[dictionaries.${name}]`, `values = ${JSON.stringify(values)}`, ""]),
    // Else an X-Api-Key of its own invention goes with everything, and most answers are 401.
    "[generation]",
    "with-security-parameters = false",
    "",
    "[parameters]",
    ...often("path.id")("conversations"),
    ...often("path.message")("messages"),
    ...often("path.identity", "query.userId", "body.author", "body.user_id", "body.senderId")("people"),
    ...often("body.receiverId", "body.participantId", "body.identity", "path.member")("others"),
    "",
    ...only([`include-path-regex = "^/(api/conversations|users)/.*(block|conversations)$"`], often("path.id")("others")),
    ...only([`include-path-regex = "^/messages/"`], often("path.id")("direct")),
    ...only([`include-path-regex = "^/groups/"`], often("path.id")("groups")),
    ...only([`include-path-regex = "^/api/support/"`], often("path.id")("support")),
    // What they delete would be missed by all who come after.
    ...only([`include-path = "/api/conversations/{id}"`, `include-method = "DELETE"`], often("path.id")("doomed")),
    ...only([`include-path = "/api/conversations/{id}/participants/{identity}"`], often("path.identity")("others")),
  ].join("\n");
}
