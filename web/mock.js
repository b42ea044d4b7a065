// The mock's page: what it keeps, what it was asked and what it told, asked for once a second. Everything that comes
// from outside is shown as text, never as HTML.

const POLL_MS = 1000;
/** Lines of activity kept here; the mock's journal has more. */
const MOST_LINES = 300;

const find = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);
const chosen = { account: query.get("account"), conversation: query.get("conversation"), phone: query.get("phone") };
let lines = [];
let heard = { requests: null, webhooks: null };

/** An element with these attributes around these children; texts become text nodes. */
function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== undefined && value !== null) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== undefined && child !== null));
  return element;
}

const shown = new Map();

/** Fills `element`, unless it shows this `value` already: what one reads, selects or types in is not disturbed. */
function show(element, value, children) {
  const text = JSON.stringify(value);
  if (shown.get(element) === text) return;
  shown.set(element, text);
  const atEnd = element.scrollHeight - element.scrollTop - element.clientHeight < 40;
  element.replaceChildren(...children());
  if (atEnd && element.classList.contains("messages")) element.scrollTop = element.scrollHeight;
}

async function ask(path, body, method = body === undefined ? "GET" : "POST") {
  const url = new URL(`/_mock/${path}`, location.href);
  if (chosen.account) url.searchParams.set("account", chosen.account);
  const answer = await fetch(url, {
    method,
    ...(body !== undefined && { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  const json = text ? JSON.parse(text) : undefined;
  if (!answer.ok) throw new Error(json?.error ?? `${answer.status} ${answer.statusText}`);
  return json;
}

let problemEnds;

function tellProblem(error) {
  const problem = find("problem");
  problem.textContent = error.message;
  problem.hidden = false;
  clearTimeout(problemEnds);
  problemEnds = setTimeout(() => (problem.hidden = true), 6000);
}

/** Does what somebody clicked, and shows at once what came of it. */
async function act(action) {
  try {
    await action();
    await poll();
  } catch (error) {
    tellProblem(error);
  }
}

function choose(what, value) {
  chosen[what] = value;
  const query = new URLSearchParams(Object.entries(chosen).filter(([, value]) => value));
  history.replaceState(null, "", `?${query}`);
  act(() => {});
}

const time = (date) => new Date(date).toLocaleTimeString([], { hour12: false });
const nameOf = ({ friendly_name, unique_name, sid }) => friendly_name || unique_name || sid;
const whoIs = ({ identity, address, sid }) => identity ?? address ?? sid;

function showAccount({ account, accounts }) {
  show(find("account"), account, () =>
    Object.entries(account)
      .filter(([, value]) => value)
      .map(([name, value]) => el("div", {}, el("dt", {}, name.replaceAll("_", " ")), el("dd", {}, value))),
  );
  const choice = find("accounts");
  choice.hidden = accounts.length < 2;
  show(choice.querySelector("select"), [accounts, account.account_sid], () =>
    accounts.map((sid) => el("option", { selected: sid === account.account_sid ? "" : undefined }, sid)),
  );
}

function showConversations({ conversations, conversation_count: count }) {
  find("conversation-count").textContent = count > conversations.length ? `newest ${conversations.length} of ${count}` : "";
  show(find("conversations"), [conversations, chosen.conversation], () =>
    conversations.map((each) =>
      el(
        "li",
        {},
        el(
          "button",
          { type: "button", "aria-pressed": each.sid === chosen.conversation, onclick: () => choose("conversation", each.sid) },
          el("span", { class: "name" }, nameOf(each), " ", el("span", { class: "state" }, each.state === "active" ? "" : each.state)),
          el("span", { class: "more" }, `${each.messages} ${each.messages === 1 ? "message" : "messages"} · ${each.participants.map(whoIs).join(", ") || "nobody"}`),
        ),
      ),
    ),
  );
}

/** How far a message got: the furthest that all phones reached. */
const progress = (delivery) =>
  delivery && ["read", "delivered", "sent"].find((step) => delivery[step] === "all");

function showConversation({ conversation }) {
  find("conversation-name").textContent = conversation ? nameOf(conversation) : "Messages";
  const participants = conversation?.participants ?? [];
  show(find("participants"), participants, () => participants.map((each) => el("span", { title: each.sid }, whoIs(each))));
  show(find("messages"), conversation?.recent ?? [], () =>
    (conversation?.recent ?? []).map((message) => {
      const failed = message.delivery && [message.delivery.failed, message.delivery.undelivered].some((how) => how !== "none");
      const about = [`#${message.index}`, message.author, time(message.date_created), failed ? "not delivered" : progress(message.delivery)];
      return el(
        "li",
        { title: message.sid },
        el("small", {}, about.filter(Boolean).join(" · ")),
        message.body ?? "",
        ...(message.media ?? []).map((file) => el("small", {}, `📎 ${file.filename ?? file.sid}, ${file.content_type}, ${file.size} bytes`)),
      );
    }),
  );
  find("write").hidden = participants.length === 0;
  const writers = participants.filter(({ identity, address }) => identity ?? address);
  show(find("write").elements.as, writers, () => writers.map((each, n) => el("option", { value: n }, whoIs(each))));
  find("write").writers = writers;
}

function showPhones({ phones, inbox }) {
  show(find("phones"), [phones, chosen.phone], () =>
    phones.map(({ number, texts }) =>
      el(
        "button",
        {
          type: "button",
          "aria-pressed": number === chosen.phone,
          onclick: () => {
            find("reply").elements.from.value = number;
            choose("phone", number);
          },
        },
        `${number} (${texts})`,
      ),
    ),
  );
  show(find("inbox"), inbox, () =>
    inbox.map((text) =>
      el(
        "li",
        { class: text.direction === "sent" ? "out" : "", title: text.message_sid },
        el("small", {}, `${text.direction === "sent" ? `to ${text.to}` : `from ${text.from}`} · ${time(text.time)} · ${text.status}`),
        text.body ?? "",
        ...text.media.map((file) => el("small", {}, `📎 ${file.filename ?? file.sid}, ${file.content_type}`)),
      ),
    ),
  );
}

/** A fault in one line, such as `POST /Messages$ · 1× · status 429, retry_after 1`. */
function inWords({ method, path, webhook, times, probability, action }) {
  const about = webhook === undefined ? `${method ?? "any"} ${path ?? "every path"}` : `webhook ${webhook}`;
  const what = Object.entries(action).map(([name, value]) => (value === true ? name : `${name} ${value}`));
  const when = [times && `${times}×`, probability !== undefined && `${probability * 100} %`].filter(Boolean);
  return [about, ...when, what.join(", ")].join(" · ");
}

function showControls({ now, faults }) {
  find("now").textContent = now;
  show(find("faults"), faults, () => faults.map((fault) => el("li", {}, inWords(fault))));
}

const failed = ({ status }) => !(status >= 200 && status < 300);

function statusOf(line) {
  const kind = line.status >= 200 && line.status < 300 ? "ok" : line.status >= 400 && line.status < 500 ? "warn" : "bad";
  return el("span", { class: `pill ${kind}` }, line.status ? String(line.status) : "none");
}

function lineOf(line) {
  const what = line.event ? `${line.event} → ${line.url}` : `${line.path}${line.query && `?${line.query}`}`;
  const rows = [...line.params, ...(line.error ? [["error", line.error]] : []), ...(line.fault ? [["fault", line.fault]] : [])];
  return el(
    "li",
    {},
    el(
      "details",
      {},
      el(
        "summary",
        {},
        el("span", { class: "when" }, time(line.time)),
        el("span", { title: line.event ? "told" : "asked" }, line.event ? "←" : "→"),
        el("span", {}, line.event ? "hook" : line.method),
        el("span", { class: "what", title: what }, what),
        statusOf(line),
        el("span", { class: "took" }, `${line.duration_ms} ms`),
      ),
      el("table", {}, ...rows.map(([name, value]) => el("tr", {}, el("td", {}, name), el("td", {}, value)))),
    ),
  );
}

function showActivity({ webhooks_waiting: waiting }) {
  find("webhooks-waiting").textContent = waiting ? `${waiting} webhooks waiting` : "";
  const { requests, webhooks, failed: onlyFailed, text } = find("filter").elements;
  const sought = text.value.trim().toLowerCase();
  const wanted = lines.filter(
    (line) =>
      (line.event ? webhooks.checked : requests.checked) &&
      (!onlyFailed.checked || failed(line)) &&
      (!sought || JSON.stringify([line.path, line.query, line.event, line.url, line.params]).toLowerCase().includes(sought)),
  );
  show(find("activity"), wanted.map(({ id, event }) => [id, event]), () => wanted.map(lineOf));
}

let seen;

function showAll(answer) {
  seen = answer;
  const fresh = [...answer.requests, ...answer.webhooks];
  lines = [...fresh, ...lines].sort((a, b) => (a.time < b.time ? 1 : a.time > b.time ? -1 : b.id - a.id)).slice(0, MOST_LINES);
  heard = { requests: answer.requests_noted, webhooks: answer.webhooks_noted };
  for (const part of [showAccount, showConversations, showConversation, showPhones, showControls, showActivity]) part(answer);
}

function forget() {
  [lines, heard] = [[], { requests: null, webhooks: null }];
}

let polling = Promise.resolve();

/** Asks for what is new. One question at a time, or lines would come twice. */
function poll() {
  polling = polling.then(async () => {
    const wanted = new URLSearchParams();
    if (chosen.conversation) wanted.set("conversation", chosen.conversation);
    if (chosen.phone) wanted.set("phone", chosen.phone);
    if (heard.requests !== null) wanted.set("requests_since", heard.requests);
    if (heard.webhooks !== null) wanted.set("webhooks_since", heard.webhooks);
    const answer = await ask(`page.json?${wanted}`).catch(() => undefined);
    find("alive").classList.toggle("on", answer !== undefined);
    find("alive").title = answer ? "the mock answers" : "the mock does not answer";
    if (!answer) return;
    // Another mock at the same address: its ids begin anew.
    if (answer.requests_noted < heard.requests || answer.webhooks_noted < heard.webhooks) forget();
    else showAll(answer);
  });
  return polling;
}

find("accounts").addEventListener("change", ({ target }) => {
  Object.assign(chosen, { conversation: null, phone: null });
  forget();
  choose("account", target.value);
});

find("write").addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.target;
  const { identity, address, proxy_address } = form.writers[Number(form.elements.as.value)] ?? {};
  const body = form.elements.body.value;
  if (!body) return;
  act(async () => {
    if (identity) await ask("sdk-message", { conversation_sid: chosen.conversation, identity, body });
    else await ask("inbound-sms", { from: address, body, ...(proxy_address && { to: proxy_address }) });
    form.elements.body.value = "";
  });
});

find("reply").addEventListener("submit", (event) => {
  event.preventDefault();
  const { from, body } = event.target.elements;
  if (!from.value || !body.value) return;
  act(async () => {
    await ask("inbound-sms", { from: from.value.trim(), body: body.value });
    body.value = "";
    choose("phone", from.value.trim());
  });
});

find("clock").addEventListener("click", ({ target }) => {
  const { set } = target.dataset;
  if (set) act(() => ask("clock", set === "freeze" ? { freeze: seen.now } : JSON.parse(set)));
});

find("fault").addEventListener("submit", (event) => {
  event.preventDefault();
  const { method, path, action, times } = event.target.elements;
  const ofWebhooks = action.selectedOptions[0].dataset.of === "webhook";
  const requests = { ...(method.value && { method: method.value }), ...(path.value && { path: path.value }) };
  act(() =>
    ask("faults", {
      ...(ofWebhooks ? { webhook: "." } : requests),
      ...(times.value && { times: Number(times.value) }),
      action: JSON.parse(action.value),
    }),
  );
});

find("no-faults").addEventListener("click", () => act(() => ask("faults", undefined, "DELETE")));
find("filter").addEventListener("input", () => seen && showActivity(seen));
find("filter").addEventListener("submit", (event) => event.preventDefault());

for (;;) {
  if (!document.hidden) await poll();
  await new Promise((resolve) => setTimeout(resolve, POLL_MS));
}
