//! Where a PostgreSQL server is, who one is there, and how one is sure of it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::store::Error;
use crate::store::sql::{self, ServerSession};

/// A server that is not reached within this is not there.
const CONNECT: Duration = Duration::from_secs(5);
/// A server that says nothing for so long is gone.
const SILENCE: Duration = Duration::from_secs(30);
/// The authorities that Debian trusts.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Names a database on a server: `postgres://user@host/database`.
pub struct ServerUrl {
    config: Config,
    /// The file with the authorities that are believed of the server; none where it is not asked.
    roots: Option<PathBuf>,
}

impl ServerUrl {
    /// Connects, by TLS where the server is another host: then its certificate must be good for its name.
    pub(super) fn connect(&self) -> sql::Result<ServerSession> {
        let Some(roots) = &self.roots else {
            return ServerSession::connect(&self.config, NoTls);
        };
        let unusable = |what: String| {
            sql::Error::Unreachable(format!("authorities `{}`: {what}", roots.display()))
        };
        let mut trusted = RootCertStore::empty();
        let found =
            CertificateDer::pem_file_iter(roots).map_err(|error| unusable(error.to_string()))?;
        trusted.add_parsable_certificates(found.flatten());
        if trusted.is_empty() {
            return Err(unusable("it has no certificate".to_owned()));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(error.to_string()))?
            .with_root_certificates(trusted)
            .with_no_client_auth();
        ServerSession::connect(&self.config, MakeRustlsConnect::new(config))
    }
}

/// Only the user, the hosts and the database are told of, and no password.
impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.config.get_user().map(|user| format!("{user}@"));
        let hosts = self.config.get_hosts().iter().map(|host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => path.display().to_string(),
        });
        let hosts: Vec<_> = hosts.collect();
        let (user, hosts) = (user.unwrap_or_default(), hosts.join(","));
        let database = self.config.get_dbname().unwrap_or_default();
        write!(f, "postgres://{user}{hosts}/{database}")
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ServerUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let is_url = ["postgres://", "postgresql://"]
            .iter()
            .any(|scheme| text.starts_with(scheme));
        if !is_url {
            let what = "it does not begin with `postgres://`; a file is where `--state-dir` says";
            return Err(Error::Url(what.to_owned()));
        }
        let (plain, roots, is_strict) = without_own(text);
        let mut config: Config = plain
            .parse()
            .map_err(|error| Error::Url(sql::words(&error)))?;
        let is_far = config.get_hosts().iter().any(is_far);
        let wants_tls = match config.get_ssl_mode() {
            SslMode::Disable => false,
            SslMode::Require => true,
            _ => is_far || is_strict,
        };
        if wants_tls {
            config.ssl_mode(SslMode::Require);
        }
        config.connect_timeout(CONNECT);
        config.tcp_user_timeout(SILENCE);
        config.keepalives_idle(SILENCE);
        let roots = wants_tls.then(|| roots.unwrap_or_else(|| PathBuf::from(SYSTEM_ROOTS)));
        Ok(Self { config, roots })
    }
}

/// Whether what is said to it goes over a network.
fn is_far(host: &Host) -> bool {
    let Host::Tcp(name) = host else {
        return false;
    };
    let is_loopback = |address: std::net::IpAddr| address.is_loopback();
    name != "localhost" && !name.parse().is_ok_and(is_loopback)
}

/// A URL without the words that the library does not know, and what they said: the file of authorities, and whether a
/// certificate is wanted. TLS without a look at the certificate is not to be had, so `require` and `verify-ca` mean
/// `verify-full`, too.
fn without_own(text: &str) -> (String, Option<PathBuf>, bool) {
    let Some((base, query)) = text.split_once('?') else {
        return (text.to_owned(), None, false);
    };
    let (mut roots, mut is_strict, mut kept) = (None, false, Vec::new());
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("sslrootcert", file)) => {
                roots = Some(PathBuf::from(
                    percent_decode_str(file).decode_utf8_lossy().as_ref(),
                ));
            }
            Some(("sslmode", "verify-full" | "verify-ca")) => is_strict = true,
            _ => kept.push(pair),
        }
    }
    (format!("{base}?{}", kept.join("&")), roots, is_strict)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roots(url: &str) -> Option<String> {
        let url: ServerUrl = url.parse().unwrap();
        url.roots.map(|file| file.display().to_string())
    }

    #[test]
    fn tls_is_used_to_any_other_host_unless_it_is_refused() {
        let system = Some(SYSTEM_ROOTS.to_owned());
        assert_eq!(roots("postgres://a@db.example/fleet"), system);
        assert_eq!(roots("postgres://a@db.example/fleet?sslmode=disable"), None);
        assert_eq!(roots("postgres://a@127.0.0.1:5433/fleet"), None);
        assert_eq!(
            roots("postgres://a@localhost/fleet?sslmode=require"),
            system
        );
        assert_eq!(roots("postgres://a@%2Frun%2Fpostgresql/fleet"), None);
        let own = roots("postgres://a@db/fleet?sslmode=verify-full&sslrootcert=%2Fetc%2Fown.pem");
        assert_eq!(own.as_deref(), Some("/etc/own.pem"));
    }

    #[test]
    fn a_password_is_told_nobody() {
        let url: ServerUrl = "postgres://alice:secret@db.example/fleet".parse().unwrap();
        assert_eq!(format!("{url} {url:?}").matches("secret").count(), 0);
        assert_eq!(url.to_string(), "postgres://alice@db.example/fleet");
        let said = "mysql://alice:secret@db/fleet"
            .parse::<ServerUrl>()
            .unwrap_err();
        assert!(!said.to_string().contains("secret"), "{said}");
    }
}
