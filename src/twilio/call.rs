//! One call to Twilio, described: what is asked of which host, under which name it is measured, and whether asking twice
//! could do harm. Sending it is `client.rs`'s part.

use std::borrow::Cow;

use bytes::Bytes;
use form_urlencoded::Serializer;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use reqwest::Method;
use reqwest::header::HeaderValue;

use super::Error;
use super::media::FileOnDisk;

/// What a call does, and so what a missing answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    /// Changes nothing: may be asked again at will.
    Fetch,
    /// Makes something new: asked twice, it makes two. Twilio has no idempotency key for these.
    Create,
    /// Sets members of something that exists to given values: twice is the same as once.
    Update,
    /// Takes something away: the second time it is gone already.
    Remove,
}

impl Verb {
    pub(super) fn method(self) -> Method {
        match self {
            Self::Fetch => Method::GET,
            Self::Create | Self::Update => Method::POST,
            Self::Remove => Method::DELETE,
        }
    }

    /// Whether the call may be sent again when it is unknown what became of it.
    pub(super) fn is_repeatable(self) -> bool {
        match self {
            Self::Fetch | Self::Update | Self::Remove => true,
            Self::Create => false,
        }
    }

    pub(super) fn is_write(self) -> bool {
        match self {
            Self::Fetch => false,
            Self::Create | Self::Update | Self::Remove => true,
        }
    }
}

/// Which of Twilio's two hosts is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    Conversations,
    Media,
}

/// One call.
#[derive(Debug)]
pub(super) struct Call {
    /// The name in metrics and logs, such as `messages.create`.
    pub(super) operation: &'static str,
    pub(super) verb: Verb,
    pub(super) service: Service,
    /// Below `/v1/Services/{ServiceSid}/`; segments that are not SIDs have gone through [`segment`].
    pub(super) path: Cow<'static, str>,
    /// Encoded, without `?`.
    pub(super) query: Option<String>,
    pub(super) content: Option<Content>,
    /// Whether Twilio is asked to fire webhooks for the change.
    pub(super) announced: bool,
}

/// A request's body; cheap to clone for the next try.
#[derive(Debug, Clone)]
pub(super) struct Content {
    pub(super) content_type: HeaderValue,
    pub(super) source: Source,
}

/// Where a body comes from.
#[derive(Debug, Clone)]
pub(super) enum Source {
    Bytes(Bytes),
    File(FileOnDisk),
}

impl Call {
    pub(super) fn fetch(operation: &'static str, path: impl Into<Cow<'static, str>>) -> Self {
        Self::new(operation, Verb::Fetch, path)
    }

    /// A new resource; announced, as is every other change here.
    pub(super) fn create(operation: &'static str, path: impl Into<Cow<'static, str>>, form: Form) -> Self {
        Self { announced: true, content: Some(form.content()), ..Self::new(operation, Verb::Create, path) }
    }

    pub(super) fn update(operation: &'static str, path: impl Into<Cow<'static, str>>, form: Form) -> Self {
        Self { announced: true, content: Some(form.content()), ..Self::new(operation, Verb::Update, path) }
    }

    pub(super) fn remove(operation: &'static str, path: impl Into<Cow<'static, str>>) -> Self {
        Self { announced: true, ..Self::new(operation, Verb::Remove, path) }
    }

    /// For the changes whose operation does not take `X-Twilio-Webhook-Enabled`.
    pub(super) fn silent(self) -> Self {
        Self { announced: false, ..self }
    }

    pub(super) fn with_query(self, query: String) -> Self {
        Self { query: Some(query), ..self }
    }

    fn new(operation: &'static str, verb: Verb, path: impl Into<Cow<'static, str>>) -> Self {
        Self {
            operation,
            verb,
            service: Service::Conversations,
            path: path.into(),
            query: None,
            content: None,
            announced: false,
        }
    }
}

/// The parameters of a change; what is `None` is not sent and stays as it is.
pub(super) struct Form(Serializer<'static, String>);

impl Form {
    pub(super) fn new() -> Self {
        Self(Serializer::new(String::with_capacity(256)))
    }

    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.0.append_pair(name, value);
        self
    }

    pub(super) fn with_some(self, name: &str, value: Option<impl AsRef<str>>) -> Self {
        match value {
            Some(value) => self.with(name, value.as_ref()),
            None => self,
        }
    }

    fn content(mut self) -> Content {
        Content {
            content_type: HeaderValue::from_static("application/x-www-form-urlencoded"),
            source: Source::Bytes(Bytes::from(self.0.finish())),
        }
    }
}

/// An encoded query from names and values.
pub(super) fn query(pairs: &[(&str, &str)]) -> String {
    Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// Everything but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// `text` as exactly one segment of a path.
///
/// Dot segments are not found, because a URL has no spelling for them (`%2e%2e` is `..` too), so nothing of that name can
/// be asked for; an empty one neither, because it would ask for the list around the resource.
pub(super) fn segment(text: &str) -> Result<PercentEncode<'_>, Error> {
    if matches!(text, "" | "." | "..") {
        return Err(Error::Refused {
            status: 404,
            code: None,
            message: format!("{text:?} cannot be part of a path"),
        });
    }
    Ok(utf8_percent_encode(text, RESERVED))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_form_has_only_what_was_given_and_repeats_nothing() {
        let form = Form::new()
            .with("Author", "a b")
            .with_some("Body", Some("1+1 & 2"))
            .with_some("Attributes", None::<&str>);
        let Source::Bytes(bytes) = form.content().source else { panic!() };
        assert_eq!(&bytes[..], b"Author=a+b&Body=1%2B1+%26+2");
    }

    #[test]
    fn dots_and_nothing_are_no_segments() {
        for text in ["", ".", ".."] {
            assert!(segment(text).is_err(), "{text:?}");
        }
        assert_eq!(segment("...").unwrap().to_string(), "...");
        assert_eq!(segment("../../Services").unwrap().to_string(), "..%2F..%2FServices");
        assert_eq!(segment("%2e%2e").unwrap().to_string(), "%252e%252e");
    }

    proptest! {
        #[test]
        fn a_segment_stays_one_segment_whatever_is_in_it(text in ".{1,32}") {
            prop_assume!(text != "." && text != "..");
            let mut url = url::Url::parse("https://conversations.twilio.com/").unwrap();
            url.set_path(&format!("/v1/Users/{}/Conversations", segment(&text).unwrap()));
            let segments: Vec<_> = url.path_segments().unwrap().collect();
            prop_assert_eq!(segments.len(), 4);
            let decoded = percent_encoding::percent_decode_str(segments[2]).decode_utf8().unwrap();
            prop_assert_eq!(decoded.as_ref(), text.as_str());
        }
    }
}
