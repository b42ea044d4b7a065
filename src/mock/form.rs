//! `application/x-www-form-urlencoded` as Twilio takes it: PascalCase names, dots for nesting, a repeated key for a list.

use chrono::{DateTime, Utc};
use percent_encoding::percent_decode_str;

use crate::mock::error::{self, Refusal};

/// The decoded parameters of a query or a body, in their order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    /// Decodes `text`.
    ///
    /// # Errors
    /// 20422 when a name or a value is not UTF-8 once decoded.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, Refusal> {
        let malformed = || Refusal::invalid_parameter("body", "is not a UTF-8 form");
        let text = std::str::from_utf8(text).map_err(|_| malformed())?;
        let decode = |part: &str| -> Result<String, Refusal> {
            let spaced = part.replace('+', " ");
            let decoded = percent_decode_str(&spaced).decode_utf8().map_err(|_| malformed())?;
            Ok(decoded.into_owned())
        };
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        });
        Ok(Self(pairs.collect::<Result<_, Refusal>>()?))
    }

    /// Parameters that came in another way than a form.
    pub(crate) fn of(pairs: Vec<(String, String)>) -> Self {
        Self(pairs)
    }

    /// The value of a parameter that may be given once.
    ///
    /// # Errors
    /// 20422 when it is repeated.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, Refusal> {
        let mut values = self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let first = values.next();
        if values.next().is_some() {
            return Err(Refusal::invalid_parameter(name, "is given more than once"));
        }
        Ok(first)
    }

    /// The same in lower case: Twilio takes the words of a choice in any.
    ///
    /// # Errors
    /// 20422 when it is repeated.
    pub(crate) fn lowercase(&self, name: &str) -> Result<Option<String>, Refusal> {
        Ok(self.text(name)?.map(str::to_ascii_lowercase))
    }

    /// The values of a parameter that may be repeated; `None` when it is absent.
    pub(crate) fn list(&self, name: &str) -> Option<Vec<String>> {
        let values: Vec<String> =
            self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.clone()).collect();
        (!values.is_empty()).then_some(values)
    }

    /// Whether the parameter is there at all.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| key == name)
    }

    /// A text of at most `most` characters.
    ///
    /// # Errors
    /// `too_long` beyond that, 20422 when it is repeated.
    pub(crate) fn text_up_to(
        &self,
        name: &str,
        most: usize,
        too_long: Refusal,
    ) -> Result<Option<&str>, Refusal> {
        match self.text(name)? {
            Some(value) if value.chars().count() > most => Err(too_long),
            value => Ok(value),
        }
    }

    /// The `Attributes` parameter: any JSON text of at most `most_bytes`.
    ///
    /// # Errors
    /// 50303 when longer, 50304 when it is not JSON.
    pub(crate) fn attributes(&self, most_bytes: usize) -> Result<Option<String>, Refusal> {
        let Some(text) = self.text("Attributes")? else { return Ok(None) };
        check_attributes(text, most_bytes)?;
        Ok(Some(text.to_owned()))
    }

    /// A date in ISO 8601.
    ///
    /// # Errors
    /// `invalid` when it is not one.
    pub(crate) fn date(&self, name: &str, invalid: Refusal) -> Result<Option<DateTime<Utc>>, Refusal> {
        self.text(name)?.map(|text| parse_date(text).ok_or(invalid)).transpose()
    }

    /// `DateCreated` and `DateUpdated`, with which history is imported.
    ///
    /// # Errors
    /// 50308 and 50309.
    pub(crate) fn dates(&self) -> Result<Dates, Refusal> {
        Ok((
            self.date("DateCreated", error::DATE_CREATED_INVALID)?,
            self.date("DateUpdated", error::DATE_UPDATED_INVALID)?,
        ))
    }

    /// `true` or `false`, in any case.
    ///
    /// # Errors
    /// 20422 for anything else.
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, Refusal> {
        self.text(name)?
            .map(|text| match text.to_ascii_lowercase().as_str() {
                "true" => Ok(true),
                "false" => Ok(false),
                _ => Err(Refusal::invalid_parameter(name, "is neither true nor false")),
            })
            .transpose()
    }

    /// The decoded pairs.
    pub(crate) fn pairs(&self) -> &[(String, String)] {
        &self.0
    }
}

/// Whether `text` is JSON of at most `most_bytes`.
///
/// # Errors
/// 50303 when longer, 50304 when it is not JSON.
pub(crate) fn check_attributes(text: &str, most_bytes: usize) -> Result<(), Refusal> {
    if text.len() > most_bytes {
        return Err(error::ATTRIBUTES_TOO_LONG);
    }
    serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|_| error::ATTRIBUTES_NOT_JSON)?;
    Ok(())
}

/// `DateCreated` and `DateUpdated`, each if given.
pub(crate) type Dates = (Option<DateTime<Utc>>, Option<DateTime<Utc>>);

/// Reads ISO 8601 with `Z` or an offset.
pub(crate) fn parse_date(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|date| date.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_decoded() {
        let form = Form::parse(b"Body=a+b%26c&Filters=x&Filters=y&Empty").unwrap();
        assert_eq!(form.text("Body").unwrap(), Some("a b&c"));
        assert_eq!(form.list("Filters").unwrap(), ["x", "y"]);
        assert_eq!(form.text("Empty").unwrap(), Some(""));
        assert_eq!(form.text("Filters").unwrap_err().code, 20422);
    }

    #[test]
    fn bytes_that_are_not_text_are_refused() {
        assert!(Form::parse(b"Body=%ff").is_err());
        assert!(Form::parse(&[0xff, 0xfe]).is_err());
    }
}
