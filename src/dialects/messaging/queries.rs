//! Query strings: which page, in which order, of what kind; and how a page says where it stands.
//!
//! A value that is no such thing is refused by name; a limit above [`LIMIT_AT_MOST`] is cut to it.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::core::{Error, PageOf, Ranking, SortBy, Wanted};

/// Entries of a page at most.
const LIMIT_AT_MOST: usize = 100;
/// Entries of a page where nothing is said: of contacts, and of everything else.
pub(super) const CONTACTS: usize = 50;
pub(super) const OTHERS: usize = 20;
/// Characters of a text that is searched for.
const TEXT_CHARACTERS: usize = 256;

/// `?page=&limit=`.
#[derive(Debug, Default, Deserialize, IntoParams)]
pub(super) struct PageQuery {
    #[param(value_type = Option<usize>, minimum = 1)]
    page: Option<String>,
    #[param(value_type = Option<usize>, minimum = 1)]
    limit: Option<String>,
}

impl PageQuery {
    /// The page, of `limit` entries where none is named.
    pub(super) fn part(&self, limit: usize) -> Result<PageOf, Error> {
        let page = number("page", self.page.as_deref())?.unwrap_or(1);
        let limit = number("limit", self.limit.as_deref())?.unwrap_or(limit).min(LIMIT_AT_MOST);
        Ok(PageOf { page, limit })
    }
}

/// A whole number from 1.
fn number(field: &'static str, text: Option<&str>) -> Result<Option<usize>, Error> {
    let Some(text) = text else { return Ok(None) };
    let digits = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    let number: Option<usize> = text.parse().ok().filter(|number| digits && *number > 0);
    number.map(Some).ok_or_else(|| Error::invalid(field, "must be a whole number from 1"))
}

/// `?type=&q=&sort=&order=&page=&limit=`.
#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct SuggestionsQuery {
    #[serde(rename = "type")]
    #[param(inline, value_type = Option<SuggestionsFor>)]
    kind: Option<String>,
    #[param(max_length = 256)]
    q: Option<String>,
    /// `mutualFriends`, `createdAt`, `nickname` or `lastSeen`.
    #[param(pattern = "^(mutualFriends|createdAt|nickname|lastSeen)$")]
    sort: Option<String>,
    /// `asc` or `desc`.
    #[param(pattern = "^(asc|desc)$")]
    order: Option<String>,
    #[param(value_type = Option<usize>, minimum = 1)]
    page: Option<String>,
    #[param(value_type = Option<usize>, minimum = 1)]
    limit: Option<String>,
}

/// What suggestions are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "lowercase")]
pub(super) enum SuggestionsFor {
    Message,
    Group,
    Forward,
}

/// What is asked for.
#[derive(Debug)]
pub(super) struct AskedSuggestions {
    pub(super) purpose: SuggestionsFor,
    pub(super) wanted: Wanted,
}

impl TryFrom<SuggestionsQuery> for AskedSuggestions {
    type Error = Error;

    fn try_from(query: SuggestionsQuery) -> Result<Self, Error> {
        let purpose = match query.kind.as_deref() {
            None | Some("message") => SuggestionsFor::Message,
            Some("group") => SuggestionsFor::Group,
            Some("forward") => SuggestionsFor::Forward,
            Some(_) => return Err(Error::invalid("type", "must be message, group or forward")),
        };
        let ascending = match query.order.as_deref() {
            None => None,
            Some("asc") => Some(true),
            Some("desc") => Some(false),
            Some(_) => return Err(Error::invalid("order", "must be asc or desc")),
        };
        let by = match query.sort.as_deref() {
            None if ascending.is_none() => SortBy::Likely,
            None | Some("mutualFriends") => SortBy::MutualFriends,
            Some("createdAt") => SortBy::CreatedAt,
            Some("nickname") => SortBy::Nickname,
            Some("lastSeen") => SortBy::LastSeen,
            Some(_) => {
                return Err(Error::invalid("sort", "must be mutualFriends, createdAt, nickname or lastSeen"));
            }
        };
        let text = query.q.filter(|text| !text.trim().is_empty());
        if let Some(text) = &text
            && (text.chars().count() > TEXT_CHARACTERS || text.chars().any(char::is_control))
        {
            return Err(Error::invalid("q", "must be at most 256 characters"));
        }
        let part = PageQuery { page: query.page, limit: query.limit }.part(OTHERS)?;
        let ranking = Ranking { by, ascending: ascending.unwrap_or(false) };
        Ok(Self { purpose, wanted: Wanted { text, ranking, part } })
    }
}

/// Where a page stands.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Pagination {
    page: usize,
    limit: usize,
    total: usize,
    total_pages: usize,
    has_next: bool,
    has_prev: bool,
}

impl Pagination {
    pub(super) fn of(part: PageOf, total: usize) -> Self {
        let PageOf { page, limit } = part;
        let total_pages = total.div_ceil(limit);
        Self { page, limit, total, total_pages, has_next: page < total_pages, has_prev: page > 1 }
    }
}
