//! What clients send over sockets, read as in service but by a socket that may do nothing: the door for fuzzing and for the
//! test that replays its corpora. Nothing here is used by the service.

use std::io::{self, Cursor, Read, Write};
use std::sync::Arc;

use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocket};

use super::session::{Link, Session, State};
use super::socketio::Kill;
use super::websocket::{self, Frame, Pipe, WebSockets};
use super::{Handling, Incoming, Protocol, Transport};
use crate::auth::Caller;

/// Frames that may wait: more than the protocols have events.
const FRAMES_WAITING: usize = 64;

impl WebSockets {
    /// Hands `payload` to every protocol as each of its events, and returns the frames that answer. What would follow is
    /// not done.
    #[doc(hidden)]
    pub fn read_payload(&self, payload: &str) -> Vec<String> {
        let Ok(payload) = serde_json::from_str::<Box<RawValue>>(payload) else { return Vec::new() };
        let mut answers = Vec::new();
        for protocol in self.0.protocols {
            let (session, waiting) = self.nobody();
            for event in protocol.listens {
                hand_over(&session, protocol, event, payload.clone());
            }
            answers.extend(drain(waiting));
        }
        answers
    }

    /// Reads `bytes` as what a raw WebSocket of `protocol` sends once it is open, and returns the frames that answer.
    #[doc(hidden)]
    pub fn read_frames(&self, protocol: &'static Protocol, bytes: &[u8]) -> Vec<String> {
        let (session, waiting) = self.nobody();
        let stream = Sent(Cursor::new(bytes));
        let mut socket = WebSocket::from_raw_socket(
            stream,
            Role::Server,
            Some(websocket::limits(self.0.core.limits().bounds.frame_bytes)),
        );
        while let Ok(message) = socket.read() {
            let Message::Text(text) = message else { continue };
            if let Ok((event, object)) = websocket::event_in(protocol, &text) {
                hand_over(&session, protocol, event, object);
            }
        }
        drain(waiting)
    }

    /// A socket whose client has proven nothing.
    fn nobody(&self) -> (Session, mpsc::Receiver<Frame>) {
        let (frames, waiting) = mpsc::channel(FRAMES_WAITING);
        let place = Arc::new(self.0.gate.place(None).expect("nothing is limited"));
        let state = State::new(Arc::clone(&self.0), Caller::Anonymous, Transport::WebSocket, place);
        let link = Link::WebSocket(Arc::new(Pipe::new(frames, Kill::new(|| {}))));
        (Session { state: Arc::new(state), link }, waiting)
    }
}

fn hand_over(session: &Session, protocol: &Protocol, event: &'static str, payload: Box<RawValue>) {
    match (protocol.on_event)(session, Incoming { event, payload: Some(payload), ack: None }) {
        Handling::Done | Handling::InTurn(..) => {}
    }
}

fn drain(mut waiting: mpsc::Receiver<Frame>) -> Vec<String> {
    let frames = std::iter::from_fn(|| waiting.try_recv().ok());
    let texts = frames.filter_map(|frame| match frame {
        Frame::Text(text) => Some(text.to_string()),
        Frame::Close(..) => None,
    });
    texts.collect()
}

/// What a client has sent; what it is answered goes nowhere.
struct Sent<'a>(Cursor<&'a [u8]>);

impl Read for Sent<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl Write for Sent<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
