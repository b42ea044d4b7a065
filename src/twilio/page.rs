//! Lists, page by page.
//!
//! Twilio's answer names the next page by a URL. Only its query is kept: the path is that of the list it belongs to and the
//! host is the configured one, so neither a hostile answer nor a cursor that went through a client's hands can send us
//! (and our credentials) anywhere else, nor turn the page of another list.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::call::Call;
use super::{Client, Error};

/// Some of a list, in Twilio's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on this page; may be empty.
    pub items: Vec<T>,
    /// Where the list goes on, if it does.
    pub next: Option<NextPage>,
}

/// Where a list goes on. Opaque; printed and parsed, it can be a client's cursor.
///
/// It is the query of Twilio's `next_page_url`: Twilio's page token and the filters of the list. No credential is in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NextPage(String);

/// The text is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the cursor of a page")]
pub struct InvalidNextPage;

const LONGEST_CURSOR: usize = 2048;

impl NextPage {
    /// From Twilio's `next_page_url`, absolute or relative.
    fn of(next_page_url: &str) -> Result<Self, InvalidNextPage> {
        let (_, query) = next_page_url.split_once('?').ok_or(InvalidNextPage)?;
        query.split('#').next().unwrap_or_default().parse()
    }
}

impl FromStr for NextPage {
    type Err = InvalidNextPage;

    fn from_str(text: &str) -> Result<Self, InvalidNextPage> {
        let is_query = text.len() <= LONGEST_CURSOR
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._~%=&+!*'(),:;@/?$".contains(&byte));
        // Without the token Twilio would start again from the first page, for ever.
        let has_token = form_urlencoded::parse(text.as_bytes()).any(|(name, _)| name == "PageToken");
        if is_query && has_token { Ok(Self(text.to_owned())) } else { Err(InvalidNextPage) }
    }
}

impl TryFrom<String> for NextPage {
    type Error = InvalidNextPage;

    fn try_from(text: String) -> Result<Self, InvalidNextPage> {
        text.parse()
    }
}

impl From<NextPage> for String {
    fn from(next: NextPage) -> Self {
        next.0
    }
}

impl fmt::Display for NextPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A list that can be asked for: what it is called in metrics, and where it is.
#[derive(Debug, Clone)]
pub(super) struct List {
    pub(super) operation: &'static str,
    pub(super) path: Cow<'static, str>,
}

impl Client {
    /// The page that `query` asks for.
    pub(super) async fn page<T: DeserializeOwned>(
        &self,
        list: &List,
        query: String,
    ) -> Result<Page<T>, Error> {
        let call = Call::fetch(list.operation, list.path.clone()).with_query(query);
        let envelope: HashMap<String, Box<RawValue>> = self.send(call).await?;
        page_in(&envelope).map_err(|reason| Error::Undecodable(format!("{reason} in {}", list.operation)))
    }

    /// The page after the one that gave `next`.
    pub(super) async fn page_after<T: DeserializeOwned>(
        &self,
        list: &List,
        next: &NextPage,
    ) -> Result<Page<T>, Error> {
        self.page(list, next.to_string()).await
    }

    /// Everything on the list, up to `most` items: a list that never ends is cut there.
    pub(super) async fn every<T: DeserializeOwned>(
        &self,
        list: &List,
        query: String,
        most: usize,
    ) -> Result<Vec<T>, Error> {
        let Page { mut items, mut next } = self.page(list, query).await?;
        let mut pages = 1;
        while let Some(here) = next.take() {
            // Pages may be short, but `most` of them with nothing on them is a list that goes in circles.
            if items.len() >= most || pages >= most {
                tracing::warn!(twilio.operation = list.operation, "twilio's list was cut after {most} items");
                break;
            }
            let page: Page<T> = self.page_after(list, &here).await?;
            if page.next.as_ref() == Some(&here) {
                return Err(Error::Undecodable(format!("a page that is its own next in {}", list.operation)));
            }
            items.extend(page.items);
            next = page.next;
            pages += 1;
        }
        items.truncate(most);
        Ok(items)
    }
}

#[derive(Deserialize)]
struct Meta<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(borrow)]
    next_page_url: Option<Cow<'a, str>>,
}

pub(super) fn page_in<T: DeserializeOwned>(
    envelope: &HashMap<String, Box<RawValue>>,
) -> Result<Page<T>, &'static str> {
    let meta = envelope.get("meta").ok_or("no meta")?;
    let meta: Meta<'_> = serde_json::from_str(meta.get()).map_err(|_| "no usable meta")?;
    let items = envelope.get(meta.key.as_ref()).ok_or("no array under meta.key")?;
    let items = serde_json::from_str(items.get()).map_err(|_| "an unreadable item")?;
    let next = meta.next_page_url.map(|url| NextPage::of(&url)).transpose();
    Ok(Page { items, next: next.map_err(|_| "an unusable next_page_url")? })
}

/// `PageSize` within what Twilio takes.
pub(super) fn page_size(asked: u8, most: u8) -> String {
    asked.clamp(1, most).to_string()
}
