import { useEffect, useState } from "react";
import { io } from "socket.io-client";

function ChatComponent({ userId, conversationSid }) {
  const [socket, setSocket] = useState(null);
  const [messages, setMessages] = useState([]);
  const [onlineUsers, setOnlineUsers] = useState([]);
  const [typingUsers, setTypingUsers] = useState([]);
  const [messageInput, setMessageInput] = useState("");
  const [isTyping, setIsTyping] = useState(false);

  useEffect(() => {
    // 1. Initialize Socket.IO connection
    const newSocket = io("http://localhost:3001", {
      transports: ["websocket", "polling"],
      reconnection: true,
    });

    newSocket.on("connect", () => {
      console.log("✅ Connected to WebSocket");

      // 2. Authenticate user
      newSocket.emit("user_connect", {
        userId: userId,
        identity: userId,
      });
    });

    // 3. Listen for user connected confirmation
    newSocket.on("user_connected", (data) => {
      console.log("✅ User authenticated:", data);

      // 4. Join conversation room
      newSocket.emit("join_conversation", {
        conversationSid: conversationSid,
        identity: userId,
      });
    });

    // 5. Listen for joined conversation confirmation
    newSocket.on("joined_conversation", (data) => {
      console.log("✅ Joined conversation:", data);
    });

    // 6. Listen for online users list
    newSocket.on("conversation_users", (data) => {
      setOnlineUsers(data.onlineUsers);
    });

    // 7. Listen for new messages
    newSocket.on("new_message", (data) => {
      setMessages((prev) => [...prev, data.message]);

      // Play notification sound if message is from another user
      if (data.message.author !== userId) {
        playNotificationSound();
      }
    });

    // 8. Listen for typing indicators
    newSocket.on("user_typing", (data) => {
      if (data.isTyping) {
        setTypingUsers((prev) => [...prev, data.identity]);
      } else {
        setTypingUsers((prev) => prev.filter((u) => u !== data.identity));
      }
    });

    // 9. Listen for user joined
    newSocket.on("user_joined", (data) => {
      console.log(`${data.identity} joined`);
      // Update UI to show user joined
    });

    // 10. Listen for user left
    newSocket.on("user_left", (data) => {
      console.log(`${data.identity} left`);
      // Update UI to show user left
    });

    // 11. Handle errors
    newSocket.on("message_error", (data) => {
      console.error("Message error:", data.error);
      alert("Failed to send message: " + data.error);
    });

    newSocket.on("connect_error", (error) => {
      console.error("Connection error:", error);
    });

    setSocket(newSocket);

    // Cleanup on unmount
    return () => {
      newSocket.emit("leave_conversation", {
        conversationSid: conversationSid,
        identity: userId,
      });
      newSocket.disconnect();
    };
  }, [userId, conversationSid]);

  // Load message history
  useEffect(() => {
    fetch(`http://localhost:3001/api/conversations/${conversationSid}/messages`)
      .then((res) => res.json())
      .then((result) => {
        if (result.status === 200) {
          setMessages(result.data);
        }
      })
      .catch((err) => console.error("Failed to load messages:", err));
  }, [conversationSid]);

  // Send message function
  const sendMessage = (e) => {
    e.preventDefault();

    if (!messageInput.trim()) return;

    socket.emit("send_message", {
      conversationSid: conversationSid,
      body: messageInput,
      author: userId,
      media: [], // Add media URLs if needed
    });

    setMessageInput("");

    // Stop typing indicator
    socket.emit("typing_stop", {
      conversationSid: conversationSid,
      identity: userId,
    });
    setIsTyping(false);
  };

  // Handle typing
  const handleTyping = (e) => {
    setMessageInput(e.target.value);

    if (!isTyping && e.target.value) {
      socket.emit("typing_start", {
        conversationSid: conversationSid,
        identity: userId,
      });
      setIsTyping(true);
    }

    // Auto-stop typing after 3 seconds of inactivity
    clearTimeout(window.typingTimeout);
    window.typingTimeout = setTimeout(() => {
      socket.emit("typing_stop", {
        conversationSid: conversationSid,
        identity: userId,
      });
      setIsTyping(false);
    }, 3000);
  };

  // Upload and send image
  const sendImageMessage = async (file) => {
    // Upload image to your server or cloud storage
    const formData = new FormData();
    formData.append("file", file);

    const uploadResponse = await fetch("YOUR_UPLOAD_ENDPOINT", {
      method: "POST",
      body: formData,
    });

    const { url } = await uploadResponse.json();

    // Send message with image
    socket.emit("send_message", {
      conversationSid: conversationSid,
      body: "Sent an image",
      author: userId,
      media: [url],
    });
  };

  // Upload and send voice recording
  const sendVoiceMessage = async (audioBlob) => {
    // Upload audio to your server or cloud storage
    const formData = new FormData();
    formData.append("file", audioBlob, "voice.mp3");

    const uploadResponse = await fetch("YOUR_UPLOAD_ENDPOINT", {
      method: "POST",
      body: formData,
    });

    const { url } = await uploadResponse.json();

    // Send message with voice
    socket.emit("send_message", {
      conversationSid: conversationSid,
      body: "Sent a voice message",
      author: userId,
      media: [url],
    });
  };

  return (
    <div className="chat-container">
      {/* Online users */}
      <div className="online-users">
        <h3>Online Users ({onlineUsers.length})</h3>
        {onlineUsers.map((user) => (
          <div key={user.userId}>{user.identity}</div>
        ))}
      </div>

      {/* Messages */}
      <div className="messages">
        {messages.map((msg) => (
          <div
            key={msg.sid}
            className={msg.author === userId ? "my-message" : "their-message"}
          >
            <strong>{msg.author}:</strong> {msg.body}
            {/* Display media if present */}
            {msg.media && msg.media.length > 0 && (
              <div className="media-attachments">
                {msg.media.map((mediaUrl, idx) => (
                  <img
                    key={idx}
                    src={mediaUrl}
                    alt="attachment"
                    style={{ maxWidth: "200px" }}
                  />
                ))}
              </div>
            )}
            <small>{new Date(msg.date_created).toLocaleTimeString()}</small>
          </div>
        ))}

        {/* Typing indicator */}
        {typingUsers.length > 0 && (
          <div className="typing-indicator">
            {typingUsers.join(", ")} {typingUsers.length === 1 ? "is" : "are"}{" "}
            typing...
          </div>
        )}
      </div>

      {/* Message input */}
      <form onSubmit={sendMessage} className="message-form">
        <input
          type="text"
          value={messageInput}
          onChange={handleTyping}
          placeholder="Type a message..."
        />

        {/* Image upload button */}
        <input
          type="file"
          accept="image/*"
          onChange={(e) => sendImageMessage(e.target.files[0])}
          style={{ display: "none" }}
          id="image-upload"
        />
        <label htmlFor="image-upload">📷</label>

        {/* Voice recording button (implement audio recording) */}
        <button type="button" onClick={() => startVoiceRecording()}>
          🎤
        </button>

        <button type="submit">Send</button>
      </form>
    </div>
  );
}

function playNotificationSound() {
  const audio = new Audio("/notification.mp3");
  audio.play();
}

export default ChatComponent;
