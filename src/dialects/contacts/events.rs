//! The one Socket.IO event, `create_conversation`: whatever comes of it goes to its acknowledgement.

use super::envelope::Error;
use super::shapes::{ConversationCreated, CreateConversation};
use crate::core::{self, ByPhone, PhoneKey};
use crate::realtime::{Handling, Incoming, Protocol, Session, Transport};

/// How this dialect speaks over Socket.IO.
pub(super) static PROTOCOL: Protocol = Protocol {
    name: "contacts",
    transport: Transport::SocketIo("/"),
    listens: &["create_conversation"],
    joins: &["create_conversation"],
    emits: &[],
    welcome: None,
    on_event,
    on_refused,
    beyond_rooms: |_| false,
    // Nothing is told that was not asked for.
    outgoing: |_, _| Vec::new(),
};

fn on_event(session: &Session, mut incoming: Incoming) -> Handling {
    let ack = incoming.ack();
    let session = session.clone();
    let asked = incoming.parse::<CreateConversation>().and_then(CreateConversation::read);
    Handling::InTurn(
        None,
        Box::pin(async move {
            match create_conversation(&session, asked).await {
                Ok(created) => ack.send(&created),
                Err(error) => ack.send(&error.acknowledged()),
            }
        }),
    )
}

fn on_refused(_: &Session, mut incoming: Incoming, error: core::Error) {
    incoming.ack().send(&Error::from(error).acknowledged());
}

async fn create_conversation(
    session: &Session,
    asked: Result<(PhoneKey, ByPhone), core::Error>,
) -> Result<ConversationCreated, Error> {
    let caller = session.caller()?;
    caller.person()?;
    let (phone, kind) = asked?;
    Ok(session.core().start_by_phone(&caller, &phone, kind).await?.into())
}
