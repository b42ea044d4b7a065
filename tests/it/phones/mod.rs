//! Phones that take part in conversations, told as stories: what reaches them, what they write, who may bring them in.

mod delivery;
mod fallback;
mod files;
mod guards;
mod registered;
mod texts;

use serde_json::{Value, json};

use crate::support::TestApp;

/// A phone of nobody's that is registered here.
pub(crate) const PHONE: &str = "+15551230001";
/// Another.
pub(crate) const OTHER_PHONE: &str = "+15551230002";

/// Brings a phone into a conversation as one of its people; its `MB…`.
pub(crate) async fn bring_in(app: &TestApp, as_identity: &str, conversation: &str, phone: &str) -> String {
    let path = format!("/{conversation}/add-sms-participant");
    let added = app.rest_as(as_identity).post(&path, &json!({ "phone_number": phone })).await.ok();
    added["participant_sid"].as_str().unwrap().to_owned()
}

/// A carrier reports how far the copy of a message for one phone got.
pub(crate) async fn carrier(app: &TestApp, message: &Value, participant: &str, status: &str, code: u32) {
    let report = json!({
        "conversation_sid": message["conversation"],
        "message_sid": message["sid"],
        "participant_sid": participant,
        "status": status,
        "error_code": code,
    });
    app.other_side("delivery", &report).await;
}

/// What is on a phone: the bodies of the texts it received.
pub(crate) async fn received(app: &TestApp, phone: &str) -> Vec<Value> {
    let texts = app.twilio(&format!("/_mock/phones/{phone}")).await;
    let texts = texts["texts"].as_array().unwrap_or_else(|| panic!("{texts}"));
    texts.iter().filter(|text| text["direction"] == "received").map(|text| text["body"].clone()).collect()
}
