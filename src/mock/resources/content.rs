//! Content templates as far as a message names one: which, and its variables. The mock has no templates to fill in.
//!
//! Source: <https://www.twilio.com/docs/conversations/api/conversation-message-resource>, error pages 50526 to 50541.

use serde_json::Value;

use crate::mock::error::{self, Refusal};
use crate::mock::form::Form;
use crate::mock::sid::{Sid, prefix};

const MOST_VARIABLES: usize = 100;
const MOST_KEY: usize = 16;
const MOST_VALUE: usize = 256;

/// Most characters of all variables, braces and quotes included.
const MOST_TEXT: usize = 27_801;

/// `ContentSid`, after a look at `ContentVariables`.
///
/// # Errors
/// 50526 when it is no content SID; 50527 to 50529, 50540 and 50541 for the variables.
pub(crate) fn read(form: &Form) -> Result<Option<&str>, Refusal> {
    let sid = form.text("ContentSid")?.filter(|text| !text.is_empty());
    if sid.is_some_and(|text| Sid::parse(prefix::CONTENT, text).is_none()) {
        return Err(error::CONTENT_SID_INVALID);
    }
    let variables = form.text("ContentVariables")?.filter(|text| !text.is_empty());
    match (sid, variables) {
        (None, Some(_)) => Err(error::CONTENT_SID_MISSING),
        (Some(_), Some(text)) => check_variables(text).map(|()| sid),
        (_, None) => Ok(sid),
    }
}

fn check_variables(text: &str) -> Result<(), Refusal> {
    let Ok(Value::Object(variables)) = serde_json::from_str(text) else {
        return Err(error::CONTENT_VARIABLES_INVALID);
    };
    if variables.keys().any(|key| key.chars().count() > MOST_KEY) {
        return Err(error::CONTENT_KEY_TOO_LONG);
    }
    for value in variables.values() {
        match value {
            Value::String(value) if value.chars().count() > MOST_VALUE => {
                return Err(error::CONTENT_VALUE_TOO_LONG);
            }
            Value::String(_) | Value::Number(_) | Value::Bool(_) => {}
            Value::Null | Value::Array(_) | Value::Object(_) => {
                return Err(error::CONTENT_VARIABLES_INVALID);
            }
        }
    }
    if variables.len() > MOST_VARIABLES || text.chars().count() > MOST_TEXT {
        return Err(error::CONTENT_VARIABLES_TOO_LONG);
    }
    Ok(())
}
