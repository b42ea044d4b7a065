//! Where a request comes from: the connection's other end, or what trusted proxies say.
//!
//! A proxy adds the address it was called from to the end of `X-Forwarded-For`, behind whatever its caller wrote there. So the
//! header is read from its end, and only as far as those who wrote it are in `TRUSTED_PROXIES`: the first address that is
//! not is the client's. What stands before it is the client's own invention. `Forwarded` (RFC 7239) is not read: a proxy that
//! does not write it passes on a client's.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName};
use axum::middleware::Next;
use axum::response::Response;

use super::connection::PeerAddr;
use crate::config::TrustedProxies;
use crate::limits::ClientAddress;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Sets [`ClientAddress`] on a request: the one place where that is decided.
pub(super) async fn tell_client_address(
    State(proxies): State<TrustedProxies>,
    mut request: Request,
    next: Next,
) -> Response {
    if let Some(PeerAddr(peer)) = request.extensions().get::<PeerAddr>() {
        let address = ClientAddress(client_of(peer.ip(), request.headers(), &proxies));
        request.extensions_mut().insert(address);
    }
    next.run(request).await
}

fn client_of(peer: IpAddr, headers: &HeaderMap, proxies: &TrustedProxies) -> IpAddr {
    let mut client = peer;
    let lines = headers.get_all(X_FORWARDED_FOR);
    let mut hops = lines.iter().rev().flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    while proxies.contains(client) {
        // What a trusted proxy does not write as an address leaves the proxy itself.
        let Some(hop) = hops.next().and_then(address) else { break };
        client = hop;
    }
    client
}

/// With or without a port: some proxies add it.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "10.0.0.1";

    fn client(peer: &str, forwarded: &[&str]) -> String {
        let proxies = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap());
        let lines = forwarded.iter().map(|line| (X_FORWARDED_FOR, line.parse().unwrap()));
        let proxies = TrustedProxies::new(proxies.to_vec());
        client_of(peer.parse().unwrap(), &lines.collect(), &proxies).to_string()
    }

    #[test]
    fn nobody_but_a_trusted_proxy_is_believed() {
        assert_eq!(client("192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(client(PROXY, &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(client("::ffff:10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(client(PROXY, &[]), PROXY);
    }

    #[test]
    fn what_a_client_writes_itself_is_not_read() {
        assert_eq!(client(PROXY, &["203.0.113.5, 198.51.100.7"]), "198.51.100.7");
        assert_eq!(client(PROXY, &["203.0.113.5", "198.51.100.7"]), "198.51.100.7");
        assert_eq!(client(PROXY, &["10.9.9.9, 198.51.100.7, 10.0.0.2"]), "198.51.100.7", "two proxies");
        assert_eq!(client(PROXY, &["10.9.9.9, nonsense, 198.51.100.7"]), "198.51.100.7");
    }

    #[test]
    fn what_is_no_address_leaves_the_last_that_was() {
        for line in ["", "unknown", "198.51.100.7, ", "_hidden", "198.51.100.7;10.0.0.3", "1.2.3.4.5"] {
            assert_eq!(client(PROXY, &[line]), PROXY, "{line}");
        }
        assert_eq!(client(PROXY, &["unknown, 10.0.0.2"]), "10.0.0.2");
        assert_eq!(client(PROXY, &["10.0.0.3, 10.0.0.2"]), "10.0.0.3", "somebody inside");
    }

    #[test]
    fn ports_and_brackets_are_left_out() {
        assert_eq!(client(PROXY, &["198.51.100.7:50312"]), "198.51.100.7");
        assert_eq!(client("fd00::1", &["[2001:db8::7]:443"]), "2001:db8::7");
        assert_eq!(client(PROXY, &["[2001:db8::7]"]), "2001:db8::7");
        assert_eq!(client(PROXY, &["2001:db8::7"]), "2001:db8::7");
    }
}
