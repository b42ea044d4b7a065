// The support widget: one script tag, and a page has a support chat.
//
//   <script src="https://chat.example.com/support/widget.js" data-token="…" data-type="general" async></script>
//
//   data-token   the app's own token of the user; without one the visitor is a guest
//   data-type    what it is about: general, onboarding, call_request
//   data-title   what stands above the messages
//
// It finds the service where it was loaded from, and brings the Socket.IO client unless the page has one (`window.io`).
// Whatever comes in is shown as text, never as HTML. `window.SupportChat.open()` and `.close()` do what the button does.

(() => {
  "use strict";

  const script = document.currentScript;
  const origin = new URL(script.src).origin;
  const { token, type = "general", title = "Support" } = script.dataset;
  const KEPT = "switchboard.support.guestId";

  // A page may forbid storage; then the guest is forgotten with the page.
  const storage = {
    get: () => {
      try {
        return localStorage.getItem(KEPT);
      } catch {
        return null;
      }
    },
    set: (id) => {
      try {
        localStorage.setItem(KEPT, id);
      } catch {
        // Nothing to do: see above.
      }
    },
  };

  let guestId = token ? null : storage.get();
  let conversation;
  let socket;
  let started = false;
  let typing;
  const shown = new Set();

  const style = `
    :host { all: initial; position: fixed; right: 20px; bottom: 20px; z-index: 2147483000; font: 15px/1.45 system-ui, sans-serif; }
    button { font: inherit; cursor: pointer; border: 0; }
    button:focus-visible, textarea:focus-visible { outline: 3px solid #8ab4ff; outline-offset: 1px; }
    .launch { display: flex; align-items: center; gap: 8px; border-radius: 26px; padding: 13px 20px; background: #1f4fd8; color: #fff; box-shadow: 0 4px 14px #0004; }
    .dot { min-width: 20px; border-radius: 10px; background: #d3302f; font-size: 13px; text-align: center; }
    .panel { display: flex; flex-direction: column; width: min(370px, calc(100vw - 40px)); height: min(540px, calc(100vh - 110px)); margin-bottom: 12px; border-radius: 14px; overflow: hidden; background: #fff; color: #16181d; box-shadow: 0 8px 34px #0005; }
    [hidden] { display: none; }
    header { display: flex; align-items: center; justify-content: space-between; padding: 12px 16px; background: #1f4fd8; color: #fff; font-weight: 600; }
    header button { background: none; color: inherit; font-size: 22px; line-height: 1; padding: 2px 6px; }
    .state { padding: 5px 16px; background: #fff4d6; font-size: 13px; }
    ol { flex: 1; overflow-y: auto; margin: 0; padding: 14px; list-style: none; display: flex; flex-direction: column; gap: 8px; }
    li { max-width: 82%; padding: 8px 12px; border-radius: 13px; background: #eef0f4; align-self: flex-start; white-space: pre-wrap; overflow-wrap: anywhere; }
    li.mine { background: #1f4fd8; color: #fff; align-self: flex-end; }
    li.system { background: none; color: #5a606c; align-self: center; text-align: center; }
    li.auth_code { background: #e3f5e5; color: #10420f; font: 600 22px/1.4 ui-monospace, monospace; letter-spacing: 3px; }
    time { display: block; font-size: 11px; opacity: .72; }
    .typing { min-height: 20px; padding: 0 16px; font-size: 13px; color: #5a606c; }
    form { display: flex; gap: 8px; padding: 10px; border-top: 1px solid #dfe2e8; }
    textarea { flex: 1; resize: none; font: inherit; padding: 8px 10px; border: 1px solid #c4c9d2; border-radius: 9px; background: #fff; color: inherit; }
    form button { border-radius: 9px; padding: 0 16px; background: #1f4fd8; color: #fff; }
    form button:disabled { opacity: .5; cursor: default; }
    form .clip { background: none; padding: 0 4px; font-size: 19px; }
    li a { display: block; color: inherit; }
  `;

  const element = (name, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  };

  const host = element("div");
  // Styles of the page stay out, ours stay in.
  const root = host.attachShadow({ mode: "open" });
  const list = element("ol");
  list.setAttribute("aria-live", "polite");
  const state = element("div", { className: "state", hidden: true });
  const others = element("div", { className: "typing" });
  const input = element("textarea", { rows: 1, maxLength: 8000, placeholder: "Type a message…" });
  input.setAttribute("aria-label", "Message");
  const send = element("button", { type: "submit", textContent: "Send", disabled: true });
  const picked = element("input", { type: "file", accept: "image/*,audio/*,video/*,application/pdf", hidden: true });
  const clip = element("button", { type: "button", className: "clip", textContent: "📎", disabled: true });
  clip.setAttribute("aria-label", "Attach a file");
  const form = element("form", {}, clip, picked, input, send);
  const close = element("button", { type: "button", textContent: "×" });
  close.setAttribute("aria-label", "Close");
  const header = element("header", {}, element("span", { textContent: title }), close);
  const panel = element("section", { className: "panel", hidden: true }, header, state, list, others, form);
  panel.setAttribute("aria-label", title);
  const dot = element("span", { className: "dot", hidden: true });
  const launch = element("button", { type: "button", className: "launch" }, element("span", { textContent: `💬 ${title}` }), dot);
  // A constructed sheet needs no leave from a page's policy on inline styles.
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(style);
  root.adoptedStyleSheets = [sheet];
  root.append(panel, launch);

  const tell = (text) => {
    state.textContent = text ?? "";
    state.hidden = !text;
  };

  const ready = (yes) => {
    send.disabled = !yes;
    clip.disabled = !yes;
  };

  const show = (message) => {
    if (shown.has(message.id)) return;
    shown.add(message.id);
    const mine = message.senderType === "guest" || message.senderType === "user";
    const item = element("li", { className: mine ? "mine" : message.senderType });
    if (message.messageType === "auth_code") item.className = "auth_code";
    const files = message.attachments ?? [];
    // Where nothing is said, the links stand in the text's place.
    if (message.message !== files.join("\n")) item.append(element("span", { textContent: message.message }));
    for (const href of files) item.append(element("a", { href, target: "_blank", rel: "noopener noreferrer", textContent: "📎 File" }));
    item.append(element("time", { dateTime: message.createdAt, textContent: new Date(message.createdAt).toLocaleTimeString() }));
    list.append(item);
    list.scrollTop = list.scrollHeight;
    if (mine || message.messageType === "auth_code") return;
    if (panel.hidden) {
      dot.textContent = String(Number(dot.textContent || 0) + 1);
      dot.hidden = false;
    } else {
      socket?.emit("message:read", { messageId: message.id });
    }
  };

  const api = async (path, body) => {
    const isFile = body instanceof FormData;
    const answer = await fetch(`${origin}/api/support${path}`, {
      method: body ? "POST" : "GET",
      headers: {
        ...(body && !isFile && { "Content-Type": "application/json" }),
        ...(token && { Authorization: `Bearer ${token}` }),
        ...(guestId && { "X-Guest-Id": guestId }),
      },
      ...(body && { body: isFile ? body : JSON.stringify(body) }),
    });
    const json = await answer.json();
    if (!json.success) throw new Error(json.message);
    return json.data;
  };

  const socketClient = () =>
    window.io
      ? Promise.resolve(window.io)
      : new Promise((resolve, reject) => {
          const loading = element("script", { src: `${origin}/support/socket.io.js` });
          loading.onload = () => resolve(window.io);
          loading.onerror = () => reject(new Error("the chat could not be loaded"));
          document.head.append(loading);
        });

  /** The conversation and what was said in it: at first, and after every reconnection. */
  const enter = async () => {
    if (token) {
      conversation = (await api(`/conversation?type=${encodeURIComponent(type)}`)).id;
    } else {
      const made = await api("/conversation/guest", { type, ...(guestId && { guestId }) });
      conversation = made.conversation.id;
      guestId = made.guestId;
      storage.set(guestId);
    }
    socket.emit("conversation:join", { conversationId: conversation });
    const { messages } = await api(`/conversation/${conversation}/messages`);
    messages.forEach(show);
    ready(true);
    tell();
  };

  const start = async () => {
    if (started) return;
    started = true;
    tell("Connecting…");
    try {
      const io = await socketClient();
      // A function: after a reconnection the guest's id may be another one.
      socket = io(`${origin}/support`, { auth: (give) => give(token ? { token, guestId: storage.get() } : { guestId }) });
    } catch (error) {
      started = false;
      return tell(error.message);
    }
    socket.on("connection:success", ({ guestId: issued }) => {
      if (issued) guestId = issued;
      enter().catch((error) => tell(error.message));
    });
    socket.on("connect_error", (error) => tell(`No connection: ${error.message}`));
    socket.on("disconnect", () => {
      ready(false);
      tell("Reconnecting…");
    });
    socket.on("message:received", show);
    socket.on("typing:start", () => {
      others.textContent = "typing…";
    });
    socket.on("typing:stop", () => {
      others.textContent = "";
    });
    socket.on("message:error", ({ error }) => tell(error));
  };

  const stopTyping = () => {
    if (!typing) return;
    clearTimeout(typing);
    typing = undefined;
    socket.emit("typing:stop", { conversationId: conversation });
  };

  input.addEventListener("input", () => {
    if (!conversation || !socket.connected) return;
    if (!typing) socket.emit("typing:start", { conversationId: conversation });
    clearTimeout(typing);
    typing = setTimeout(stopTyping, 3000);
  });

  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const message = input.value.trim();
    if (!message || send.disabled) return;
    stopTyping();
    tell();
    socket.emit("message:send", { conversationId: conversation, message, messageType: "text" });
    input.value = "";
  });

  clip.addEventListener("click", () => picked.click());
  picked.addEventListener("change", async () => {
    const [file] = picked.files;
    if (!file || send.disabled) return;
    const form = new FormData();
    form.append("file", file);
    picked.value = "";
    tell("Sending the file…");
    try {
      const { url } = await api(`/upload?conversationId=${encodeURIComponent(conversation)}`, form);
      socket.emit("message:send", { conversationId: conversation, messageType: "file", attachments: [url] });
      tell();
    } catch (error) {
      tell(error.message);
    }
  });

  const open = () => {
    panel.hidden = false;
    dot.hidden = true;
    dot.textContent = "";
    input.focus();
    start();
  };
  const shut = () => {
    panel.hidden = true;
    launch.focus();
  };
  launch.addEventListener("click", () => (panel.hidden ? open() : shut()));
  close.addEventListener("click", shut);

  window.SupportChat = { open, close: shut };
  const attach = () => document.body.append(host);
  if (document.body) attach();
  else document.addEventListener("DOMContentLoaded", attach);
})();
