//! [`DatabaseUrl`]: where the database is. It may hold a password, so it is never printed.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::settings::is_loopback;

/// `sqlite://path` or `postgres://user:password@host:port/database?parameters`.
#[derive(Clone)]
pub struct DatabaseUrl(SecretString);

impl DatabaseUrl {
    /// `None` for anything that is neither, or that has a parameter which would only be passed over.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let is_sqlite = text.starts_with("sqlite://") || text.starts_with("sqlite::memory:");
        (is_sqlite || is_postgres(text)).then(|| Self(text.into()))
    }

    /// The URL, password and all.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Whether the database is on another machine that does not have to prove who it is.
    pub(super) fn is_believed_unseen(&self) -> bool {
        let Some(url) = self.expose().parse::<Url>().ok().filter(|url| url.scheme() != "sqlite") else {
            return false;
        };
        let parameter = |names: &[&str]| {
            url.query_pairs().find_map(|(name, value)| names.contains(&&*name).then(|| value.into_owned()))
        };
        let is_socket = |host: &str| host.is_empty() || host.starts_with('/') || host.starts_with("%2F");
        let is_here = match parameter(&["host", "hostaddr"]) {
            Some(host) => is_socket(&host) || ["localhost", "127.0.0.1", "::1"].contains(&&*host),
            None => is_socket(url.host_str().unwrap_or_default()) || is_at_loopback(&url),
        };
        let mode = parameter(&["sslmode", "ssl-mode"]);
        !is_here && !mode.is_some_and(|mode| mode.starts_with("verify-"))
    }
}

/// `url` does not look for addresses in the hosts of schemes it does not know.
fn is_at_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    format!("http://{host}").parse().is_ok_and(|url| is_loopback(&url))
}

/// Parameters the driver knows; `options[name]` sets a parameter of the server's.
const PARAMETERS: [&str; 18] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

const SSL_MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

fn is_postgres(text: &str) -> bool {
    let Ok(url) = text.parse::<Url>() else { return false };
    matches!(url.scheme(), "postgres" | "postgresql")
        && text.contains("://")
        // A `#` that belongs to a password cuts the URL short.
        && url.fragment().is_none()
        && url.query_pairs().all(|(name, value)| match &*name {
            "sslmode" | "ssl-mode" => SSL_MODES.contains(&&*value),
            "port" => value.parse::<u16>().is_ok(),
            "statement-cache-capacity" => value.parse::<u16>().is_ok(),
            name => PARAMETERS.contains(&name) || (name.starts_with("options[") && name.ends_with(']')),
        })
}

/// Shows what kind it is.
impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.expose().split_once(':').map_or("", |(kind, _)| kind);
        write!(f, "DatabaseUrl({kind}:…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_databases_are_understood_in_all_their_forms() {
        for url in [
            "sqlite://data/switchboard.db",
            "sqlite::memory:",
            "postgres://switchboard:p%40ss@db.example.com:5432/switchboard",
            "postgresql://db.example.com/switchboard?sslmode=verify-full&sslrootcert=/etc/ca.pem",
            "postgres:///switchboard?host=/run/postgresql&options[search_path]=chat",
            "postgres://switchboard@%2Frun%2Fpostgresql/switchboard",
        ] {
            assert!(DatabaseUrl::parse(url).is_some(), "{url}");
        }
    }

    #[test]
    fn what_would_be_passed_over_or_cut_short_is_refused() {
        for url in [
            "mysql://db.example.com/switchboard",
            "postgres:switchboard",
            "postgres://user:pa#ss@db.example.com/switchboard",
            "postgres://user:pa/ss@db.example.com/switchboard",
            "postgres://db.example.com:port/switchboard",
            "postgres://db.example.com/switchboard?sslmode=on",
            "postgres://db.example.com/switchboard?pasword=secret",
            "data/switchboard.db",
        ] {
            assert!(DatabaseUrl::parse(url).is_none(), "{url}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let url = DatabaseUrl::parse("postgres://user:hunter2@db.example.com/switchboard").unwrap();
        assert_eq!(format!("{url:?}"), "DatabaseUrl(postgres:…)");
    }

    #[test]
    fn a_database_elsewhere_should_prove_who_it_is() {
        let believed = |url: &str| DatabaseUrl::parse(url).unwrap().is_believed_unseen();
        assert!(believed("postgres://db.example.com/switchboard"));
        assert!(believed("postgres:///switchboard?host=db.example.com&sslmode=require"));
        assert!(!believed("postgres://db.example.com/switchboard?sslmode=verify-full"));
        assert!(!believed("postgres://127.0.0.1/switchboard"));
        assert!(!believed("postgres://user:password@localhost:5433/switchboard"));
        assert!(!believed("postgres:///switchboard?host=/run/postgresql"));
        assert!(!believed("postgres://%2Frun%2Fpostgresql/switchboard"));
        assert!(!believed("sqlite://data/switchboard.db"));
    }
}
