// The start page: two people in one conversation. Everything that comes in is shown as text, never as HTML.
//
// It speaks just enough Socket.IO (protocol 5, over a WebSocket) to need no library; apps use socket.io-client.

const api = "/api/conversations";

async function post(path, body) {
  const answer = await fetch(api + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const json = await answer.json();
  if (!answer.ok) throw new Error(json.message);
  return json;
}

/** One socket: `emit(event, data)`, and `hear(event, data)` for what comes. Comes back by itself. */
function connect({ opened, closed, hear }) {
  let socket;
  const emit = (event, data) => socket.readyState === 1 && socket.send(`42${JSON.stringify([event, data])}`);
  const open = () => {
    socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/socket.io/?EIO=4&transport=websocket`);
    socket.onmessage = ({ data: packet }) => {
      if (packet.startsWith("0")) socket.send("40"); // the engine is open: ask for the namespace
      else if (packet === "2") socket.send("3"); // heartbeat
      else if (packet.startsWith("40")) opened(emit);
      else if (packet.startsWith("42")) hear(...JSON.parse(packet.slice(2)));
    };
    socket.onclose = () => {
      closed();
      setTimeout(open, 1000 + Math.random() * 1000);
    };
  };
  open();
  return emit;
}

function person(section, conversationSid) {
  const { identity, name } = section.dataset;
  section.append(document.getElementById("person").content.cloneNode(true));
  const find = (selector) => section.querySelector(selector);
  find(".name").textContent = name;
  const [light, list, typing, form] = [".light", ".messages", ".typing", "form"].map(find);
  const typists = new Set();
  let newest = -1;

  const show = (text, kind) => {
    const line = document.createElement("li");
    line.textContent = text;
    if (kind) line.className = kind;
    list.append(line);
    list.scrollTop = list.scrollHeight;
  };
  const showMessage = ({ index, body, author, media }) => {
    if (index <= newest) return;
    newest = index;
    show(body || media.join(" "), author === identity ? "own" : "");
  };
  const events = {
    user_connected: () => emit("join_conversation", { conversationSid, identity, sinceIndex: newest }),
    joined_conversation: async ({ success, recovered, message }) => {
      light.classList.toggle("on", success);
      light.title = success ? "online" : message;
      if (success && !recovered) (await (await fetch(`${api}/${conversationSid}/messages`)).json()).data.forEach(showMessage);
    },
    new_message: ({ message }) => showMessage(message),
    message_error: ({ error }) => show(error, "failed"),
    user_typing: ({ identity: who, isTyping }) => {
      if (isTyping) typists.add(who);
      else typists.delete(who);
      typing.textContent = typists.size ? `${[...typists].join(", ")} types …` : "";
    },
  };
  const emit = connect({
    opened: (emit) => emit("user_connect", { userId: identity, identity }),
    closed: () => light.classList.remove("on"),
    hear: (event, data) => events[event]?.(data),
  });

  let types = false;
  const say = (now) => {
    if (types !== now) emit(now ? "typing_start" : "typing_stop", { conversationSid, identity });
    types = now;
  };
  form.body.addEventListener("input", () => say(form.body.value !== ""));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const body = form.body.value.trim();
    if (!body) return;
    emit("send_message", { conversationSid, author: identity, body, clientMessageId: crypto.randomUUID?.() });
    form.reset();
    types = false; // sending ends it
  });
}

const people = [...document.querySelectorAll(".person")];
const json = `-H 'content-type: application/json'`;

post("/newconversation", { participants: people.map(({ dataset }) => ({ id: dataset.identity, name: dataset.name })) })
  .then(({ data }) => {
    document.getElementById("commands").textContent = [
      `curl -s ${location.origin}${api}/generate-token ${json} -d '{"user_id":"alice"}'`,
      `curl -s ${location.origin}${api}/${data.conversation_sid}/send-message ${json} -d '{"author":"bob","body":"from a terminal"}'`,
      `curl -s ${location.origin}${api}/${data.conversation_sid}/messages`,
    ].join("\n");
    people.forEach((section) => person(section, data.conversation_sid));
  })
  .catch((error) => {
    document.getElementById("commands").textContent = `The conversation could not be made: ${error.message}`;
  });
