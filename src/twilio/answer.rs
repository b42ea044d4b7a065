//! What an HTTP answer of Twilio's says: done, refused, come back later, or nothing to rely on.
//!
//! Twilio's answers are untrusted input: a body is read up to a cap, an error may be HTML, and no text of a body gets
//! into a line of the log.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chrono::DateTime;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde::Deserialize;

use super::Error;

/// A page of a hundred messages at Twilio's limits is below this.
const LARGEST_BODY: usize = 8 * 1024 * 1024;

/// No one is made to wait longer, whatever the header says.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(30);

/// One answer, judged.
#[derive(Debug)]
pub(super) enum Answer {
    /// 2xx, with its body.
    Done(Bytes),
    /// 4xx: nothing happened.
    Refused(Refusal),
    /// 429: nothing happened, another time it may.
    RateLimited { retry_after: Option<Duration> },
    /// The host failed, in words: a change may have happened.
    Failed(String),
}

/// Reads `response` to its end and judges it.
pub(super) async fn judge(response: Response) -> Answer {
    let status = response.status();
    if status == StatusCode::TOO_MANY_REQUESTS {
        // The body says nothing that the status does not, and may be missing.
        return Answer::RateLimited { retry_after: retry_after(response.headers()) };
    }
    let body = body(response).await;
    if status.is_success() {
        return match body {
            Ok(body) => Answer::Done(body),
            Err(reason) => Answer::Failed(reason),
        };
    }
    if status.is_client_error() {
        return Answer::Refused(Refusal::of(status, &body.unwrap_or_default()));
    }
    Answer::Failed(format!("status {}", status.as_u16()))
}

/// A 4xx of Twilio's, or of something between.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) code: Option<u32>,
    pub(super) message: String,
}

impl Refusal {
    /// From `{"code":20404,"message":"…","more_info":"…","status":404}`, if it is that.
    pub(super) fn of(status: StatusCode, body: &[u8]) -> Self {
        #[derive(Deserialize, Default)]
        struct Body {
            code: Option<u32>,
            message: Option<String>,
        }
        let Body { code, message } = serde_json::from_slice(body).unwrap_or_default();
        Self { status, code, message: message.unwrap_or_else(|| "no reason given".to_owned()) }
    }
}

impl From<Refusal> for Error {
    fn from(Refusal { status, code, message }: Refusal) -> Self {
        Self::Refused { status: status.as_u16(), code, message }
    }
}

async fn body(mut response: Response) -> Result<Bytes, String> {
    let announced = response.content_length().unwrap_or(0);
    let too_large = || format!("a body of more than {LARGEST_BODY} bytes");
    let Ok(announced) = usize::try_from(announced) else { return Err(too_large()) };
    if announced > LARGEST_BODY {
        return Err(too_large());
    }
    let mut body = BytesMut::with_capacity(announced);
    while let Some(chunk) = response.chunk().await.map_err(|error| reason(&error))? {
        if body.len() + chunk.len() > LARGEST_BODY {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// Seconds, or a date; a date is measured against the answer's own `Date`, so our clock need not agree with Twilio's.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match value.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let then = DateTime::parse_from_rfc2822(value).ok()?;
            let now = DateTime::parse_from_rfc2822(headers.get(DATE)?.to_str().ok()?).ok()?;
            (then - now).to_std().unwrap_or_default()
        }
    };
    Some(wait.min(LONGEST_RETRY_AFTER))
}

/// The whole chain of causes; reqwest's own text is only the first link. The URL, which names people, is left out.
pub(super) fn reason(error: &reqwest::Error) -> String {
    let mut words = match (error.is_connect(), error.is_timeout(), error.is_body() || error.is_decode()) {
        (true, _, _) => "no connection",
        (false, true, _) => "no answer in time",
        (false, false, true) => "the answer broke off",
        (false, false, false) => "the request failed",
    }
    .to_owned();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        words.push_str(": ");
        words.push_str(&error.to_string());
        cause = error.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        assert_eq!(retry_after(&headers(&[("retry-after", "2")])), Some(Duration::from_secs(2)));
        let date =
            [("date", "Wed, 21 Oct 2015 07:28:00 GMT"), ("retry-after", "Wed, 21 Oct 2015 07:28:07 GMT")];
        assert_eq!(retry_after(&headers(&date)), Some(Duration::from_secs(7)));
        assert_eq!(retry_after(&headers(&[("retry-after", "86400")])), Some(LONGEST_RETRY_AFTER));
    }

    #[test]
    fn a_retry_after_that_makes_no_sense_is_none() {
        assert_eq!(retry_after(&headers(&[])), None);
        for value in ["", "soon", "-1", "1.5", "Wed, 21 Oct 2015 07:28:07 GMT", "99999999999999999999999"] {
            assert_eq!(retry_after(&headers(&[("retry-after", value)])), None, "{value:?}");
        }
    }

    #[test]
    fn a_refusal_is_read_from_json_and_survives_html() {
        let body = br#"{"code":20404,"message":"gone","more_info":"x","status":404}"#;
        let refusal = Refusal::of(StatusCode::NOT_FOUND, body);
        assert_eq!((refusal.code, refusal.message.as_str()), (Some(20404), "gone"));
        let refusal = Refusal::of(StatusCode::BAD_REQUEST, b"<html>bad</html>");
        assert_eq!((refusal.code, refusal.message.as_str()), (None, "no reason given"));
    }
}
