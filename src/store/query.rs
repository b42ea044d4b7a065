//! [`QueryBuilder`]: a query whose text depends on how much is asked.
//!
//! In the words of sqlx's own, which for `Any` writes `?` where PostgreSQL wants `$1`. The text is made of the program's
//! own words; whatever comes from outside is bound. No connection remembers such a query: there are as many texts as sizes.

use std::fmt::{Display, Write as _};

use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::{Query, QueryAs};
use sqlx::{Any, Arguments as _, AssertSqlSafe, Encode, FromRow, Type};

/// A query that is being written.
#[derive(Default)]
pub(super) struct QueryBuilder {
    text: String,
    values: AnyArguments,
}

impl QueryBuilder {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), values: AnyArguments::default() }
    }

    /// Writes a piece of SQL: never anything from outside.
    pub(super) fn push(&mut self, text: impl Display) -> &mut Self {
        let _ = write!(self.text, "{text}"); // writing into a String cannot fail
        self
    }

    /// Writes the next `$n`, for this value.
    pub(super) fn push_bind<'q>(&mut self, value: impl Encode<'q, Any> + Type<Any>) -> &mut Self {
        self.values.add(value).expect("texts and integers always have a form");
        let place = self.values.len();
        self.push('$').push(place)
    }

    /// Goes on with values between which stands `separator`.
    pub(super) fn separated(&mut self, separator: &'static str) -> Separated<'_> {
        Separated { query: self, separator, is_first: true }
    }

    /// Writes `VALUES (…), (…)`; `row` binds those of one item.
    pub(super) fn push_values<T>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        mut row: impl FnMut(Separated<'_>, T),
    ) -> &mut Self {
        self.push("VALUES ");
        for (place, item) in items.into_iter().enumerate() {
            self.push(if place == 0 { "(" } else { ", (" });
            row(self.separated(", "), item);
            self.push(")");
        }
        self
    }

    /// The query; the builder is empty then.
    pub(super) fn build<'q>(&mut self) -> Query<'q, Any, AnyArguments> {
        let Self { text, values } = std::mem::take(self);
        sqlx::query_with(AssertSqlSafe(text), values).persistent(false)
    }

    /// The query, each of whose rows is a `T`; the builder is empty then.
    pub(super) fn build_query_as<'q, T>(&mut self) -> QueryAs<'q, Any, T, AnyArguments>
    where
        T: for<'r> FromRow<'r, AnyRow>,
    {
        let Self { text, values } = std::mem::take(self);
        sqlx::query_as_with(AssertSqlSafe(text), values).persistent(false)
    }
}

/// Values of a query that is being written.
pub(super) struct Separated<'a> {
    query: &'a mut QueryBuilder,
    separator: &'static str,
    is_first: bool,
}

impl Separated<'_> {
    /// Writes the next `$n`, for this value.
    pub(super) fn push_bind<'q>(&mut self, value: impl Encode<'q, Any> + Type<Any>) -> &mut Self {
        if !std::mem::take(&mut self.is_first) {
            self.query.push(self.separator);
        }
        self.query.push_bind(value);
        self
    }
}

#[cfg(test)]
mod tests {
    use sqlx::Execute as _;

    use super::*;

    #[test]
    fn places_are_numbered_through() {
        let mut query = QueryBuilder::new("INSERT INTO people (identity, name) ");
        query.push_values([("alice", 1), ("bob", 2)], |mut row, (identity, number)| {
            row.push_bind(identity).push_bind(number);
        });
        query.push(" RETURNING identity = ").push_bind("carol");
        let text = query.build().sql();
        let expected =
            "INSERT INTO people (identity, name) VALUES ($1, $2), ($3, $4) RETURNING identity = $5";
        assert_eq!(text.as_str(), expected);
    }
}
