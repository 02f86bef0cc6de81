//! Where a collector is: its URL, and the addresses behind its name.

use std::net::{IpAddr, SocketAddr};
use std::process::{Command, Stdio};

use hyper::Uri;

use super::Error;

/// Asks the host's own name service, by whatever that is configured to ask. A static program has none, and one
/// that were loaded into it would be of another C library.
const NAME_SERVICE: &str = "getent";

/// The port of HTTPS.
const PORT: u16 = 443;

/// Where a collector is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Address {
    /// Reads `https://NAME:PORT`.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{url}` must be `https://`, a name or an address, and maybe a port");
        let uri: Uri = url.parse().map_err(|_no_uri| wrong())?;
        let authority = uri.authority().ok_or_else(wrong)?;
        let is_plain = uri.scheme_str() == Some("https")
            && uri.path().len() <= 1
            && uri.query().is_none()
            && !authority.as_str().contains('@')
            && !authority.host().is_empty();
        if !is_plain {
            return Err(wrong());
        }
        let host = authority.host();
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        Ok(Self {
            host: bare.unwrap_or(host).to_owned(),
            port: authority.port_u16().unwrap_or(PORT),
        })
    }

    /// The addresses behind the name, the best first. Blocks.
    pub(crate) fn resolve(&self) -> Result<Vec<SocketAddr>, Error> {
        let Self { host, port } = self;
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![(address, *port).into()]);
        }
        let unknown = |why: String| Error::Name {
            name: host.clone(),
            why,
        };
        let asked = Command::new(NAME_SERVICE)
            .args(["ahosts", "--", host])
            .stdin(Stdio::null())
            .output()
            .map_err(|error| unknown(format!("run `{NAME_SERVICE}`: {error}")))?;
        let text = String::from_utf8_lossy(&asked.stdout).into_owned();
        let first = |line: &str| line.split_whitespace().next()?.parse::<IpAddr>().ok();
        // One address stands on several lines, one for each type of socket.
        let mut found: Vec<SocketAddr> = Vec::new();
        for address in text.lines().filter_map(first) {
            let address = (address, *port).into();
            if !found.contains(&address) {
                found.push(address);
            }
        }
        if found.is_empty() {
            return Err(unknown("the name service knows no such host".to_owned()));
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_host_and_maybe_a_port() {
        let read = |url| {
            let Address { host, port } = Address::parse(url).unwrap();
            format!("{host} {port}")
        };
        assert_eq!(
            read("https://collector.example:7443"),
            "collector.example 7443"
        );
        assert_eq!(read("https://collector/"), "collector 443");
        assert_eq!(read("https://[::1]:7443"), "::1 7443");
        for wrong in [
            "",
            "collector",
            "collector:7443",
            "http://collector",
            "https://",
            "https://user@collector",
            "https://collector/path",
            "https://collector?x",
        ] {
            assert!(Address::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_address_needs_no_name_service_and_a_name_is_looked_up() {
        let resolve = |url| Address::parse(url).unwrap().resolve();
        assert_eq!(
            resolve("https://[::1]:5").unwrap(),
            ["[::1]:5".parse().unwrap()]
        );
        let found = resolve("https://localhost:5").unwrap();
        assert!(
            found.iter().all(|found| found.ip().is_loopback()),
            "{found:?}"
        );
        assert!(resolve("https://no-such-host.invalid").is_err());
    }
}
