//! How a host is enrolled with a collector, and what the collector answers to its batches.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::ChainHead;
use crate::Timestamp;

/// The name that every collector proves to have by a certificate of its own authority. The name in its URL
/// says only where it is found.
pub const COLLECTOR_NAME: &str = "tracer-collector";

/// Where a host is enrolled.
pub const ENROL: &str = "/v1/enrol";
/// Where an enrolled host gets its next certificate.
pub const RENEW: &str = "/v1/renew";
/// Where batches go.
pub const BATCHES: &str = "/v1/batches";
/// Where the collector says what it has of a log.
pub const ACKNOWLEDGED: &str = "/v1/acknowledged";
/// Where the collector says which contents it lacks.
pub const MISSING: &str = "/v1/contents/missing";

/// So many contents can be asked for at once.
pub const MOST_ASKED: usize = 1000;

const PREFIX: &str = "tracer1";
const SECRET_BYTES: usize = 20;

/// Lets one host enrol, once. Names the authority by which the host knows the collector, so that nobody is
/// trusted for being there first.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// What the collector knows it by.
    pub secret: [u8; SECRET_BYTES],
    /// SHA-256 of the certificate of the collector's authority.
    pub authority: [u8; 32],
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { secret, authority } = self;
        write!(f, "{PREFIX}-{}-{}", hex(secret), hex(authority))
    }
}

/// Without its secret: whoever reads a log may not enrol.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}-…-{}", hex(&self.authority))
    }
}

impl FromStr for Token {
    type Err = ParseTokenError;

    fn from_str(text: &str) -> Result<Self, ParseTokenError> {
        let mut parts = text.trim().split('-');
        let (Some(PREFIX), Some(secret), Some(authority), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(ParseTokenError);
        };
        Ok(Self {
            secret: from_hex(secret).ok_or(ParseTokenError)?,
            authority: from_hex(authority).ok_or(ParseTokenError)?,
        })
    }
}

/// Says that a text is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseTokenError;

impl fmt::Display for ParseTokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "it must be `{PREFIX}-`, 40 hex digits, `-` and 64 hex digits, as `tracer-collector enrol` prints it"
        )
    }
}

impl std::error::Error for ParseTokenError {}

/// Bytes as lower-case hex digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}

/// Reads so many bytes written as hex digits.
pub fn from_hex<const N: usize>(digits: &str) -> Option<[u8; N]> {
    if digits.len() != 2 * N || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; N];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(bytes)
}

/// Asks for the first certificate of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolBody {
    /// The token, as it was given to the host.
    pub token: String,
    /// The machine id.
    pub machine: String,
    /// The host's name.
    pub hostname: String,
    /// The request for a certificate, PEM.
    pub request: String,
}

/// Asks for the next certificate of an enrolled host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenewBody {
    /// The request for a certificate, PEM.
    pub request: String,
}

/// Gives a host its certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolledBody {
    /// Whose certificate it is: the machine id.
    pub host: String,
    /// The certificate, PEM.
    pub certificate: String,
    /// The certificate of the authority that made it, PEM.
    pub authority: String,
    /// The public key by which the collector countersigns, a point on P-256 in hex digits.
    pub countersigns_by: String,
    /// From when it holds.
    pub issued: Timestamp,
    /// Until when it holds.
    pub expires: Timestamp,
}

/// Tells how a host was enrolled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolmentBody {
    /// The host's name to the collector: its machine id.
    pub host: String,
    /// Where the collector is.
    pub url: String,
    /// SHA-256 of the certificate of the collector's authority, in hex digits.
    pub authority: String,
    /// Until when the first certificate holds.
    pub expires: Timestamp,
    /// Whether a daemon runs and was told.
    pub sending: bool,
}

/// Says until where the collector has a log, durably.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcknowledgedBody {
    /// The number of the next change to send.
    pub next_seq: u64,
    /// Where the hash chain was at the change before it; none where nothing came yet.
    pub head: Option<Countersigned>,
    /// The collector's clock.
    pub time: Timestamp,
}

/// A head of a log's hash chain with the collector's signature: who later rewrites the log up to there is
/// found out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Countersigned {
    /// Whose log it is: the machine id.
    pub host: String,
    /// Which of the host's logs.
    pub log: String,
    /// Where the chain was.
    pub chain: ChainHead,
    /// When that was signed.
    pub time: Timestamp,
    /// The signature (ECDSA on P-256 with SHA-256, ASN.1) in hex digits.
    pub signature: String,
}

impl Countersigned {
    /// What is signed.
    pub fn message(&self) -> Vec<u8> {
        let Self {
            host,
            log,
            chain,
            time,
            signature: _,
        } = self;
        let ChainHead { seq, hash } = chain;
        let nanos = time.as_nanos();
        // Each on a line of its own, and none of them can hold the end of a line.
        let one_line = |text: &str| text.replace('\n', " ");
        format!(
            "tracer-head-1\n{}\n{}\n{seq}\n{}\n{nanos}\n",
            one_line(host),
            one_line(log),
            one_line(hash)
        )
        .into_bytes()
    }
}

/// Names contents by their hashes, in hex digits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentsBody {
    /// BLAKE3 of each content.
    pub hashes: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_and_its_secret_is_not_logged() {
        let token = Token {
            secret: [0xab; SECRET_BYTES],
            authority: [7; 32],
        };
        assert_eq!(token.to_string().parse(), Ok(token.clone()));
        assert_eq!(format!(" {token}\n").parse(), Ok(token.clone()));
        assert!(!format!("{token:?}").contains("abab"));
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let token = Token {
            secret: [1; SECRET_BYTES],
            authority: [2; 32],
        }
        .to_string();
        for wrong in [
            "",
            "tracer1",
            "tracer1--",
            &token[1..],
            &token[..token.len() - 1],
            &format!("{token}-00"),
            &token.replacen("01", "0é", 1),
            &token.replacen("01", "+1", 1),
        ] {
            assert_eq!(wrong.parse::<Token>(), Err(ParseTokenError), "{wrong}");
        }
    }

    #[test]
    fn each_part_of_a_head_is_signed() {
        let head = Countersigned {
            host: "a".to_owned(),
            log: "b".to_owned(),
            chain: ChainHead {
                seq: 1,
                hash: "c".to_owned(),
            },
            time: Timestamp::from_nanos(2),
            signature: String::new(),
        };
        let mut messages = vec![head.message()];
        let mut other = |change: fn(&mut Countersigned)| {
            let mut head = head.clone();
            change(&mut head);
            messages.push(head.message());
        };
        other(|head| head.host = "a\nb".to_owned());
        other(|head| head.log = "x".to_owned());
        other(|head| head.chain.seq = 3);
        other(|head| head.chain.hash = "x".to_owned());
        other(|head| head.time = Timestamp::from_nanos(5));
        messages.sort();
        messages.dedup();
        assert_eq!(messages.len(), 6);
    }
}
