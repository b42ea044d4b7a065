// The two snippets printed under "Testing" in the document, to the letter. `tests/document-samples.test.mjs` runs this
// very text with another host and with its own `io`, `fetch` and `console`.

const testConnection = () => {
  const socket = io("http://localhost:3001");

  socket.on("connect", () => {
    console.log("✅ Connected!");

    socket.emit("user_connect", {
      userId: "test-user",
      identity: "test-user",
    });
  });

  socket.on("user_connected", (data) => {
    console.log("✅ Authenticated:", data);
  });

  socket.on("connect_error", (error) => {
    console.error("❌ Connection failed:", error);
  });
};

const testAPI = async () => {
  // Generate token
  const tokenResponse = await fetch(
    "http://localhost:3001/api/conversations/generate-token",
    {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ user_id: "test-user" }),
    }
  );
  const tokenData = await tokenResponse.json();
  console.log("Token:", tokenData.token);

  // Create conversation
  const convoResponse = await fetch(
    "http://localhost:3001/api/conversations/create",
    {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({
        participants: [
          { id: "user1", name: "User One" },
          { id: "user2", name: "User Two" },
        ],
      }),
    }
  );
  const convoData = await convoResponse.json();
  console.log("Conversation:", convoData);
};
