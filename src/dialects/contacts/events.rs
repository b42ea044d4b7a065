//! The one Socket.IO event, `create_conversation`: whatever comes of it goes to its acknowledgement.

use super::envelope::Error;
use super::shapes::{ConversationCreated, CreateConversation};
use crate::core;
use crate::realtime::{Handling, Incoming, Protocol, Session, Transport};

/// How this dialect speaks over Socket.IO.
pub(super) static PROTOCOL: Protocol = Protocol {
    name: "contacts",
    transport: Transport::SocketIo("/"),
    listens: &["create_conversation"],
    emits: &[],
    welcome: None,
    on_event,
    on_overload,
    beyond_rooms: |_| false,
    // Nothing is told that was not asked for.
    outgoing: |_, _| Vec::new(),
};

fn on_event(session: &Session, mut incoming: Incoming) -> Handling {
    let ack = incoming.ack();
    let session = session.clone();
    Handling::InTurn(
        None,
        Box::pin(async move {
            match create_conversation(&session, &incoming).await {
                Ok(created) => ack.send(&created),
                Err(error) => ack.send(&error.failure()),
            }
        }),
    )
}

fn on_overload(_: &Session, mut incoming: Incoming) {
    let error: Error = core::Error::TooManyRequests { retry_after: None }.into();
    incoming.ack().send(&error.failure());
}

async fn create_conversation(session: &Session, incoming: &Incoming) -> Result<ConversationCreated, Error> {
    let caller = session.caller()?;
    caller.person()?;
    let (phone, kind) = incoming.parse::<CreateConversation>()?.read()?;
    Ok(session.core().start_by_phone(&caller, &phone, kind).await?.into())
}
