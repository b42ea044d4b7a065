//! Pages of a list: size, opaque tokens, and the `meta` block that leads from one page to the next.
//!
//! A token remembers the key of the row it starts after (or ends before), so rows added or deleted meanwhile neither
//! repeat nor hide others. There is no total count, as at Twilio.

use std::collections::BTreeMap;
use std::ops::Bound::{self, Excluded, Included, Unbounded};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::mock::error::{self, Refusal};
use crate::mock::exchange::Call;
use crate::mock::state::Tenant;

/// What is particular to one list.
pub(crate) struct List {
    /// The name of the array in the body.
    pub(crate) key: &'static str,
    /// Rows per page unless asked otherwise.
    pub(crate) size: usize,
    /// Most rows per page. What a larger `PageSize` does is one of the mock's switches.
    pub(crate) most: usize,
    /// Query parameters that every page's address repeats.
    pub(crate) filters: &'static [&'static str],
}

/// The direction a list is walked in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Ascending,
    Descending,
}

impl Order {
    const fn reversed(self) -> Self {
        match self {
            Self::Ascending => Self::Descending,
            Self::Descending => Self::Ascending,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Token<K> {
    After(K),
    Before(K),
}

impl<K: Serialize + DeserializeOwned> Token<K> {
    fn write(&self) -> String {
        let json = serde_json::to_vec(self).expect("keys are numbers and texts");
        format!("PT{}", URL_SAFE_NO_PAD.encode(json))
    }

    fn read(text: &str) -> Option<Self> {
        let json = URL_SAFE_NO_PAD.decode(text.strip_prefix("PT")?).ok()?;
        serde_json::from_slice(&json).ok()
    }
}

/// One page of `rows` as Twilio's list body, each row that `show` makes something of.
///
/// # Errors
/// 20422 when `PageSize`, `Page` or `PageToken` do not read, 20007 when `PageSize` is too large and that is refused.
pub(crate) fn page<K, V>(
    call: &Call,
    tenant: &Tenant,
    list: &List,
    rows: &BTreeMap<K, V>,
    order: Order,
    show: impl FnMut(&K, &V) -> Option<Value>,
) -> Result<Value, Refusal>
where
    K: Ord + Clone + Serialize + DeserializeOwned,
{
    page_within(call, tenant, list, Rows { all: rows, from: Unbounded, to: Unbounded }, order, show)
}

/// The rows of a list, from one key to another.
pub(crate) struct Rows<'a, K, V> {
    pub(crate) all: &'a BTreeMap<K, V>,
    pub(crate) from: Bound<&'a K>,
    pub(crate) to: Bound<&'a K>,
}

/// [`page`] for a part of the rows, which is found without walking the others.
///
/// # Errors
/// As [`page`].
pub(crate) fn page_within<K, V>(
    call: &Call,
    tenant: &Tenant,
    list: &List,
    rows: Rows<'_, K, V>,
    order: Order,
    mut show: impl FnMut(&K, &V) -> Option<Value>,
) -> Result<Value, Refusal>
where
    K: Ord + Clone + Serialize + DeserializeOwned,
{
    let size =
        number(call, "PageSize")?.map_or(list.size, |size| usize::try_from(size).unwrap_or(usize::MAX));
    if size == 0 {
        return Err(Refusal::invalid_parameter("PageSize", "must be at least 1"));
    }
    if size > list.most && tenant.switches.large_pages_refused {
        return Err(error::PAGE_TOO_LARGE);
    }
    let size = size.min(list.most);
    let page_number = number(call, "Page")?.unwrap_or(0);
    let token = call
        .query()
        .text("PageToken")?
        .map(|text| {
            Token::read(text).ok_or_else(|| Refusal::invalid_parameter("PageToken", "is not one of ours"))
        })
        .transpose()?;

    let (walked, start) = match &token {
        None => (order, None),
        Some(Token::After(key)) => (order, Some(key)),
        Some(Token::Before(key)) => (order.reversed(), Some(key)),
    };
    let mut found = Vec::with_capacity(size.min(64) + 1);
    let mut rows = rows.walk(walked, start);
    while found.len() <= size
        && let Some((key, row)) = rows.next()
    {
        if let Some(body) = show(key, row) {
            found.push((key.clone(), body));
        }
    }
    let more = found.len() > size;
    found.truncate(size);
    let (has_previous, has_next) = match token {
        None => (false, more),
        Some(Token::After(_)) => (!found.is_empty(), more),
        Some(Token::Before(_)) => {
            found.reverse();
            (more, !found.is_empty())
        }
    };

    let address = |page: u64, token: Option<&str>| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for filter in list.filters {
            for value in call.query().list(filter).unwrap_or_default() {
                query.append_pair(filter, &value);
            }
        }
        query.append_pair("PageSize", &size.to_string()).append_pair("Page", &page.to_string());
        if let Some(token) = token {
            query.append_pair("PageToken", token);
        }
        format!("{}{}?{}", call.base(), call.path(), query.finish())
    };
    let previous = found.first().filter(|_| has_previous).map(|(key, _)| Token::Before(key.clone()).write());
    let next = found.last().filter(|_| has_next).map(|(key, _)| Token::After(key.clone()).write());
    let bodies: Vec<Value> = found.into_iter().map(|(_, body)| body).collect();
    Ok(json!({
        list.key: bodies,
        "meta": {
            "page": page_number,
            "page_size": size,
            "first_page_url": address(0, None),
            "previous_page_url": previous.map(|token| address(page_number.saturating_sub(1), Some(&token))),
            "url": address(page_number, call.query().text("PageToken")?),
            "next_page_url": next.map(|token| address(page_number.saturating_add(1), Some(&token))),
            "key": list.key,
        },
    }))
}

fn number(call: &Call, name: &str) -> Result<Option<u64>, Refusal> {
    call.query()
        .text(name)?
        .map(|text| text.parse().map_err(|_| Refusal::invalid_parameter(name, "is not a number")))
        .transpose()
}

impl<'a, K: Ord, V> Rows<'a, K, V> {
    /// The rows behind `start` in the direction of `order`.
    fn walk(self, order: Order, start: Option<&'a K>) -> Box<dyn Iterator<Item = (&'a K, &'a V)> + 'a> {
        let Self { all, mut from, mut to } = self;
        match (order, start) {
            (_, None) => {}
            (Order::Ascending, Some(key)) => from = Excluded(key),
            (Order::Descending, Some(key)) => to = Excluded(key),
        }
        // A token may be from anywhere, and a map panics when asked for a range that ends before it begins.
        let empty = match (from, to) {
            (Included(from), Included(to)) => from > to,
            (Included(from) | Excluded(from), Included(to) | Excluded(to)) => from >= to,
            (Unbounded, _) | (_, Unbounded) => false,
        };
        if empty {
            return Box::new(std::iter::empty());
        }
        let rows = all.range::<K, _>((from, to));
        match order {
            Order::Ascending => Box::new(rows),
            Order::Descending => Box::new(rows.rev()),
        }
    }
}
