//! Where a token stands in an HTTP request.
//!
//! Socket.IO's `auth.token` and the `token` of `user_connect` are read in `realtime`.

use axum::http::{HeaderMap, Uri, header};

/// The token of a request, from the first of these places that has one: `Authorization: Bearer <jwt>`,
/// `?token=<jwt>`, `Sec-WebSocket-Protocol: bearer, <jwt>` (all that a browser's `WebSocket` can send).
pub fn token_from(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    from_authorization(headers).or_else(|| from_query(uri)).or_else(|| from_subprotocol(headers))
}

fn from_authorization(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.trim().split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer")).then_some(token).and_then(present)
}

fn from_query(uri: &Uri) -> Option<String> {
    let query = uri.query()?;
    let (_, token) = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "token")?;
    present(&token)
}

fn from_subprotocol(headers: &HeaderMap) -> Option<String> {
    let mut protocols = headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim);
    protocols.find(|protocol| protocol.eq_ignore_ascii_case("bearer"))?;
    protocols.next().and_then(present)
}

fn present(token: &str) -> Option<String> {
    let token = token.trim();
    (!token.is_empty()).then(|| token.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(headers: &[(&'static str, &'static str)], uri: &str) -> Option<String> {
        let headers =
            headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        token_from(&headers, &uri.parse().unwrap())
    }

    const PROTOCOL: &str = "sec-websocket-protocol";

    #[test]
    fn each_place_is_read() {
        assert_eq!(token(&[("authorization", "bearer a.b.c")], "/").as_deref(), Some("a.b.c"));
        assert_eq!(token(&[], "/?x=1&token=a.b%2Ec").as_deref(), Some("a.b.c"));
        assert_eq!(token(&[(PROTOCOL, "chat, bearer, a.b.c")], "/").as_deref(), Some("a.b.c"));
        assert_eq!(token(&[(PROTOCOL, "bearer"), (PROTOCOL, "a.b.c")], "/").as_deref(), Some("a.b.c"));
    }

    #[test]
    fn the_header_outranks_the_query_and_the_query_the_subprotocol() {
        let protocol = (PROTOCOL, "bearer, third");
        assert_eq!(
            token(&[("authorization", "Bearer first"), protocol], "/?token=second").as_deref(),
            Some("first")
        );
        assert_eq!(token(&[protocol], "/?token=second").as_deref(), Some("second"));
    }

    #[test]
    fn other_schemes_and_blanks_are_no_tokens() {
        assert_eq!(token(&[("authorization", "Basic dTpw")], "/"), None);
        assert_eq!(token(&[("authorization", "Bearer ")], "/?token="), None);
        assert_eq!(token(&[(PROTOCOL, "bearer")], "/"), None);
    }
}
