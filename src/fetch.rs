//! Fetching files from addresses that clients name, without letting them reach into our own network.
//!
//! A name is resolved first, its addresses filtered, and only to those that are left a connection is made, so it cannot
//! resolve to something else in between; an address in a URL is filtered as it is, in whatever notation it came (the `url`
//! crate reads `0x7f.1` as a browser does). Redirects go the same way. What a file must be to be kept is `core`'s business.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use url::{Host, Url};

/// How long fetching may take in all.
const WITHIN: Duration = Duration::from_secs(5);
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
const REDIRECTS_AT_MOST: usize = 3;

/// Fetches; a clone is cheap.
#[derive(Clone)]
pub struct Fetcher {
    http: reqwest::Client,
    filter: Filter,
}

/// Why something was not fetched. For the log: it may say what our network looks like.
#[derive(Debug, thiserror::Error)]
pub enum NotFetched {
    /// It is no http or https address, or one of ours.
    #[error("the address is not one on the public internet")]
    NotPublic,
    /// It answered, but not with a file.
    #[error("it answered with status {0}")]
    Status(u16),
    /// It did not answer, or broke off.
    #[error("it did not answer: {0}")]
    Failed(#[source] reqwest::Error),
}

impl NotFetched {
    /// Without the address, in which there may be a signature.
    fn failed(error: reqwest::Error) -> Self {
        Self::Failed(error.without_url())
    }
}

impl Fetcher {
    /// `allowed`: networks of ours that may be fetched from all the same.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(allowed: Vec<IpNet>) -> Result<Self, reqwest::Error> {
        Self::with(Filter { allowed: allowed.into(), look_up })
    }

    fn with(filter: Filter) -> Result<Self, reqwest::Error> {
        let redirects = filter.clone();
        let http = reqwest::Client::builder()
            .dns_resolver(Arc::new(filter.clone()))
            .redirect(Policy::custom(move |attempt| {
                if attempt.previous().len() > REDIRECTS_AT_MOST || !redirects.lets(attempt.url()) {
                    attempt.stop()
                } else {
                    attempt.follow()
                }
            }))
            .no_proxy()
            .referer(false)
            .timeout(WITHIN)
            .connect_timeout(CONNECT_WITHIN)
            .pool_max_idle_per_host(0)
            .user_agent("Switchboard")
            .build()?;
        Ok(Self { http, filter })
    }

    /// Begins to fetch `address`.
    ///
    /// # Errors
    /// [`NotFetched`].
    #[expect(clippy::disallowed_methods, reason = "not a call to Twilio")]
    pub async fn get(&self, address: &str) -> Result<Fetched, NotFetched> {
        let url =
            Url::parse(address).ok().filter(|url| self.filter.lets(url)).ok_or(NotFetched::NotPublic)?;
        let response = self.http.get(url).send().await.map_err(NotFetched::failed)?;
        match response.status().as_u16() {
            200 => Ok(Fetched(response)),
            status => Err(NotFetched::Status(status)),
        }
    }
}

/// A file on its way.
#[derive(Debug)]
pub struct Fetched(reqwest::Response);

impl Fetched {
    /// How long it says to be, in bytes.
    #[must_use]
    pub fn announced_size(&self) -> Option<u64> {
        self.0.content_length()
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// [`NotFetched::Failed`] when it breaks off.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, NotFetched> {
        self.0.chunk().await.map_err(NotFetched::failed)
    }
}

/// Finds the addresses of a name.
type LookUp = fn(&str) -> BoxFuture<'_, io::Result<Vec<IpAddr>>>;

fn look_up(name: &str) -> BoxFuture<'_, io::Result<Vec<IpAddr>>> {
    Box::pin(
        async move { Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect()) },
    )
}

/// Which addresses may be connected to.
#[derive(Clone)]
struct Filter {
    allowed: Arc<[IpNet]>,
    look_up: LookUp,
}

impl Filter {
    fn lets(&self, url: &Url) -> bool {
        let host_is_fine = match url.host() {
            Some(Host::Ipv4(ip)) => self.lets_ip(IpAddr::V4(ip)),
            Some(Host::Ipv6(ip)) => self.lets_ip(IpAddr::V6(ip)),
            Some(Host::Domain(_)) => true, // its addresses are filtered when it is resolved
            None => false,
        };
        host_is_fine && matches!(url.scheme(), "http" | "https")
    }

    fn lets_ip(&self, ip: IpAddr) -> bool {
        self.allowed.iter().any(|network| network.contains(&ip)) || is_public(ip)
    }
}

impl Resolve for Filter {
    fn resolve(&self, name: Name) -> Resolving {
        let filter = self.clone();
        Box::pin(async move {
            let found = (filter.look_up)(name.as_str()).await?.into_iter();
            let public: Vec<SocketAddr> =
                found.filter(|ip| filter.lets_ip(*ip)).map(|ip| SocketAddr::new(ip, 0)).collect();
            if public.is_empty() {
                return Err(io::Error::other("the name has no address on the public internet").into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// Whether `ip` is somebody's on the public internet: in none of the registries of special addresses.
///
/// Source: <https://www.iana.org/assignments/iana-ipv4-special-registry>, `…/iana-ipv6-special-registry`.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = matches!(
        (a, b, c),
        (0 | 10 | 127, _, _)
            | (100, 64..=127, _) // carriers' own
            | (169, 254, _) // link-local, cloud metadata
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 31, 196)
            | (192, 52, 193)
            | (192, 88, 99)
            | (192, 168, _)
            | (192, 175, 48)
            | (198, 18..=19, _)
            | (198, 51, 100)
            | (203, 0, 113)
            | (224..=255, _, _) // multicast, reserved, broadcast
    );
    !special
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [a, b, ..] = ip.segments();
    // Of the whole space only 2000::/3 is given out. Outside of it are also ::1, mapped and translated IPv4 addresses
    // (::ffff:0:0/96, 64:ff9b::/96), unique local, link-local and multicast ones.
    let given_out = a & 0xe000 == 0x2000;
    let special = match a {
        // Protocol assignments, Teredo, ORCHID; documentation.
        0x2001 => b < 0x0200 || b == 0x0db8,
        0x2002 => true, // 6to4 carries an IPv4 address
        0x2620 => b == 0x004f,
        0x3fff => b < 0x1000,
        _ => false,
    };
    given_out && !special
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::FutureExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    fn lets(url: &str) -> bool {
        let filter = Filter { allowed: Arc::from([]), look_up };
        Url::parse(url).is_ok_and(|url| filter.lets(&url))
    }

    #[test]
    fn no_notation_of_an_internal_address_gets_through() {
        for url in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://2130706433/",
            "http://0/",
            "http://0.0.0.0/",
            "http://10.1.2.3/",
            "http://100.64.0.1/",
            "http://169.254.169.254/latest/meta-data/",
            "http://172.31.255.255/",
            "http://192.168.0.1/",
            "http://198.18.0.1/",
            "http://224.0.0.1/",
            "http://255.255.255.255/",
            "http://[::1]/",
            "http://[::]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:7f00:1]/",
            "http://[::127.0.0.1]/",
            "http://[64:ff9b::7f00:1]/",
            "http://[64:ff9b:1::7f00:1]/",
            "http://[2002:7f00:1::]/",
            "http://[2001:0:4136:e378::]/",
            "http://[fd00:ec2::254]/",
            "http://[fe80::1]/",
            "http://[ff02::1]/",
            "http://[2001:db8::1]/",
            "http://１２７.0.0.1/",
            "file:///etc/passwd",
            "ftp://example.com/a.png",
            "gopher://example.com/",
            "data:image/png;base64,AAAA",
        ] {
            assert!(!lets(url), "{url}");
        }
        for url in ["https://example.com/a.png", "http://93.184.216.34/", "http://[2606:2800:220:1::1]/"] {
            assert!(lets(url), "{url}");
        }
    }

    #[test]
    fn a_network_of_ones_own_can_be_let_in() {
        let filter = Filter { allowed: Arc::from(["10.7.0.0/16".parse().unwrap()]), look_up };
        let lets = |url: &str| filter.lets(&Url::parse(url).unwrap());
        assert!(lets("http://10.7.1.2/cdn/a.png"));
        assert!(!lets("http://10.8.1.2/cdn/a.png"));
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_not_connected_to() {
        let canary = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://localhost:{}/", canary.local_addr().unwrap().port());
        let fetched = Fetcher::new(Vec::new()).unwrap().get(&url).await;
        assert!(matches!(fetched, Err(NotFetched::Failed(_))), "{fetched:?}");
        let touched = tokio::time::timeout(Duration::from_millis(50), canary.accept()).await;
        assert!(touched.is_err(), "a connection was made");
    }

    /// The only address that is outside.
    const OUTSIDE: &str = "127.0.0.2";

    async fn fetch(look_up: LookUp, url: &str) -> Result<String, NotFetched> {
        let filter = Filter { allowed: Arc::from([format!("{OUTSIDE}/32").parse().unwrap()]), look_up };
        let mut fetched = Fetcher::with(filter).unwrap().get(url).await?;
        let piece = fetched.piece().await?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&piece).into_owned())
    }

    /// A server outside, and on the same port one inside that must not be connected to.
    async fn servers(answer: impl Fn(u16) -> String) -> (u16, TcpListener) {
        let outside = TcpListener::bind((OUTSIDE, 0)).await.unwrap();
        let port = outside.local_addr().unwrap().port();
        let inside = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let answer = answer(port);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = outside.accept().await {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        (port, inside)
    }

    async fn assert_untouched(inside: &TcpListener) {
        assert!(inside.accept().now_or_never().is_none(), "a connection was made");
    }

    fn page(_: u16) -> String {
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\ncat".to_owned()
    }

    #[tokio::test]
    async fn of_a_name_with_addresses_of_both_kinds_only_those_outside_are_connected_to() {
        let (port, inside) = servers(page).await;
        let both: LookUp = |_| {
            let both = ["127.0.0.1", OUTSIDE, "::1", "10.0.0.1"].map(|ip| ip.parse().unwrap());
            async move { Ok(both.to_vec()) }.boxed()
        };
        assert_eq!(fetch(both, &format!("http://both.test:{port}/")).await.unwrap(), "cat");
        assert_untouched(&inside).await;
    }

    #[tokio::test]
    async fn a_name_that_turns_inward_is_followed_no_longer() {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        let (port, inside) = servers(page).await;
        let turning: LookUp = |_| {
            let ip = if ASKED.fetch_add(1, Ordering::SeqCst) == 0 { OUTSIDE } else { "127.0.0.1" };
            async move { Ok(vec![ip.parse().unwrap()]) }.boxed()
        };
        let url = format!("http://turning.test:{port}/");
        // What was found is what is connected to, without another look.
        assert_eq!(fetch(turning, &url).await.unwrap(), "cat");
        assert_eq!(ASKED.load(Ordering::SeqCst), 1);
        assert!(matches!(fetch(turning, &url).await, Err(NotFetched::Failed(_))));
        assert_untouched(&inside).await;
    }

    #[tokio::test]
    async fn a_redirect_to_a_name_that_leads_inside_is_not_followed() {
        let redirect = |port| {
            format!(
                "HTTP/1.1 302 Found\r\nlocation: http://inside.test:{port}/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            )
        };
        let (port, inside) = servers(redirect).await;
        let by_name: LookUp = |name| {
            let ip = if name.starts_with("inside") { "127.0.0.1" } else { OUTSIDE };
            async move { Ok(vec![ip.parse().unwrap()]) }.boxed()
        };
        let fetched = fetch(by_name, &format!("http://outside.test:{port}/")).await;
        assert!(matches!(fetched, Err(NotFetched::Failed(_))), "{fetched:?}");
        assert_untouched(&inside).await;
    }
}
