//! A conversation and up to ten participants in one request: checked at once, added a little later.
//!
//! Until they are in, the conversation is `initializing` and takes no writes. Then it is what was asked for, `active`
//! unless said otherwise; if somebody cannot be added after all (their numbers were taken meanwhile), it is `closed`.
//! Source: <https://www.twilio.com/docs/conversations/api/conversation-with-participants-resource>

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::mock::error::{self, Refusal};
use crate::mock::event::Origin;
use crate::mock::exchange::{Answer, Call, Outcome};
use crate::mock::form::Form;
use crate::mock::resources::conversations::{self, Arrival, Changes};
use crate::mock::resources::participants::{self, NewParticipant};
use crate::mock::resources::states::{ConversationState, enter_state};
use crate::mock::state::{Place, Tenant};

const MOST_PARTICIPANTS: usize = 10;

/// The people who are still to be added to a conversation, and what it is then.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Populating {
    /// When they are added.
    pub(crate) due: DateTime<Utc>,
    participants: Vec<NewParticipant>,
    state: ConversationState,
    /// Whether the request asked for webhooks.
    announced: bool,
}

/// `POST /ConversationWithParticipants`: 202 when there is somebody to be added, else 201.
pub(crate) fn create(call: &Call, tenant: &mut Tenant) -> Outcome {
    let service_sid = call.service_sid(tenant)?;
    let mut changes = Changes::of_new(call, tenant)?;
    let given = call.form().list("Participant").unwrap_or_default();
    if given.len() > MOST_PARTICIPANTS {
        return Err(error::TOO_MANY_AT_ONCE);
    }
    let mut participants: Vec<NewParticipant> =
        given.iter().map(|text| NewParticipant::read(&form_of(text)?)).collect::<Result<_, _>>()?;
    // Phones may join a group text only when somebody is there whose number is ours.
    participants
        .sort_by_key(|new| new.binding.as_ref().is_none_or(|binding| binding.projected_address.is_none()));
    if !participants.is_empty() {
        let state = changes.state.replace(ConversationState::Initializing);
        let wait = TimeDelta::milliseconds(i64::from(tenant.switches.initializing_ms));
        changes.populating = Some(Populating {
            due: call.origin().now + wait,
            participants: participants.clone(),
            // Who asks for `initializing` gets what they ask for, but not for good.
            state: state
                .filter(|state| *state != ConversationState::Initializing)
                .unwrap_or(ConversationState::Active),
            announced: call.origin().announced,
        });
    }
    let mut conversation = conversations::draft(tenant, service_sid, call.origin(), changes)?;
    participants::rehearse(tenant, &mut conversation, &participants, call.origin().now)?;
    conversations::propose(tenant, &mut conversation, call.origin(), &Arrival::new())?;

    let later = conversation.populating.is_some();
    let mut body = conversation.body(&call.view(tenant));
    // Alone among the bodies of conversations, this one has no link to an export.
    if let Some(links) = body["links"].as_object_mut() {
        links.remove("export");
    }
    conversations::insert(tenant, conversation, call.origin(), &Arrival::new())?;
    Ok(if later { Answer::Accepted(body) } else { Answer::Created(body) })
}

/// One `Participant`, a JSON object in snake case, as the parameters of `POST …/Participants`.
fn form_of(text: &str) -> Result<Form, Refusal> {
    let malformed = || Refusal::invalid_parameter("Participant", "is not a JSON object of texts");
    let Ok(Value::Object(members)) = serde_json::from_str(text) else { return Err(malformed()) };
    let mut pairs = Vec::new();
    for (name, value) in members {
        match (name.as_str(), value) {
            ("messaging_binding", Value::Object(binding)) => {
                for (name, value) in binding {
                    let Value::String(value) = value else { return Err(malformed()) };
                    pairs.push((format!("MessagingBinding.{}", pascal_case(&name)), value));
                }
            }
            (_, Value::String(value)) => pairs.push((pascal_case(&name), value)),
            (_, Value::Null) => {}
            (_, Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                return Err(malformed());
            }
        }
    }
    Ok(Form::of(pairs))
}

/// `proxy_address` as `ProxyAddress`.
fn pascal_case(name: &str) -> String {
    let words = name.split('_').map(|word| {
        let mut letters = word.chars();
        letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect::<String>()
    });
    words.collect()
}

/// The time has come: adds who was to be added, and closes the conversation when one of them cannot be.
pub(crate) fn populate(tenant: &mut Tenant, place: Place, now: DateTime<Utc>) -> Result<(), Refusal> {
    let Some(populating) = tenant.conversation_mut(place)?.populating.take() else { return Ok(()) };
    let Populating { participants, state, announced, .. } = populating;
    let origin = Origin::rest(now, announced);
    let mut newcomers = participants.into_iter();
    let all_in = newcomers.try_for_each(|new| participants::admit(tenant, place, &origin, new).map(drop));
    let state = if all_in.is_ok() { state } else { ConversationState::Closed };
    // This is what a caller waits for, so it is told whether or not the request asked for webhooks.
    enter_state(tenant, place, &Origin::timer(now), state, "API")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_participant_in_json_is_read_as_a_form() {
        let text = r#"{"identity":"alice","messaging_binding":{"projected_address":"+15005550006"},"role_sid":null}"#;
        let form = form_of(text).unwrap();
        assert_eq!(form.text("Identity").unwrap(), Some("alice"));
        assert_eq!(form.text("MessagingBinding.ProjectedAddress").unwrap(), Some("+15005550006"));
        assert!(!form.has("RoleSid"));
        for text in ["", "alice", "[]", "{", r#"{"identity":1}"#, r#"{"messaging_binding":{"address":1}}"#] {
            assert_eq!(form_of(text).unwrap_err().code, 20422, "{text}");
        }
    }
}
