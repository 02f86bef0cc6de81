//! Who may send: tokens, the hosts that enrolled with them, and their certificates. What a host is by its log
//! is in the table of hosts.

use std::collections::BTreeMap;

use change::Timestamp;
use serde::Serialize;

use super::error::Doing as _;
use super::sql::{self, Connection, Row, Transaction, Turn};
use super::{Error, Location};

const INSERT_TOKEN: &str = "
    INSERT INTO tokens (hash, hostname, labels, replaces, made, expires)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const SELECT_TOKEN: &str =
    "SELECT hostname, labels, replaces, expires, used FROM tokens WHERE hash = ?1";
const USE_TOKEN: &str = "UPDATE tokens SET used = ?2, used_by = ?3 WHERE hash = ?1";
const DELETE_OLD_TOKENS: &str = "DELETE FROM tokens WHERE expires < ?1";
const SELECT_HOST: &str = "
    SELECT name, hostname, labels, enrolled, revoked, rewritten, finding,
        (SELECT max(expires) FROM certificates c WHERE c.name = e.name AND ended IS NULL)
    FROM enrolled e";
const UPSERT_HOST: &str = "
    INSERT INTO enrolled (name, hostname, labels, enrolled) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (name) DO UPDATE SET hostname = ?2, labels = ?3, enrolled = ?4, revoked = NULL,
        rewritten = NULL, finding = NULL";
const END_CERTIFICATES: &str =
    "UPDATE certificates SET ended = ?2 WHERE name = ?1 AND ended IS NULL";
const INSERT_CERTIFICATE: &str =
    "INSERT INTO certificates (fingerprint, name, issued, expires) VALUES (?1, ?2, ?3, ?4)";
const DELETE_OLD_CERTIFICATES: &str = "DELETE FROM certificates WHERE expires < ?1";
const SELECT_BY_CERTIFICATE: &str = "
    SELECT e.name, e.labels, e.revoked, c.ended IS NOT NULL OR c.expires <= ?2
    FROM certificates c JOIN enrolled e ON e.name = c.name WHERE c.fingerprint = ?1";
const REVOKE: &str = "UPDATE enrolled SET revoked = ?2 WHERE name = ?1 AND revoked IS NULL";
const MARK: &str =
    "UPDATE enrolled SET rewritten = ?2, finding = ?3 WHERE name = ?1 AND rewritten IS NULL";

const WRITE: &str = "write who is enrolled";
const READ: &str = "read who is enrolled";

/// So long after its time a token is kept, so that whoever comes with it is told why it is no good.
const MONTH_NS: i64 = 30 * 24 * 60 * 60 * 1_000_000_000;

/// What operators say a host is: `role=db`.
pub type Labels = BTreeMap<String, String>;

/// Says what a token allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permit {
    /// The only host name that may use it, where one is given.
    pub hostname: Option<String>,
    /// What the host is.
    pub labels: Labels,
    /// Whether a host that is enrolled already may enrol anew.
    pub replaces: bool,
    /// Until when it is good.
    pub expires: Timestamp,
}

/// Names a host that wants to be enrolled.
#[derive(Clone, Debug)]
pub struct Applicant {
    /// The machine id, which becomes its name.
    pub name: String,
    /// The host's name.
    pub hostname: String,
}

/// Describes a certificate by what the collector knows it by.
#[derive(Clone, Copy, Debug)]
pub struct Certificate {
    /// SHA-256 of it.
    pub fingerprint: [u8; 32],
    /// From when it holds.
    pub issued: Timestamp,
    /// Until when it holds.
    pub expires: Timestamp,
}

/// Says why a host is not enrolled.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No such token was made, or it is long gone.
    #[error("this token is not known here; make one with `tracer-collector enrol`")]
    Unknown,
    /// The token was used.
    #[error(
        "this token was used at {0}; each enrols one host: make another with `tracer-collector enrol`"
    )]
    Used(Timestamp),
    /// The token is too old.
    #[error("this token was good until {0}; make another with `tracer-collector enrol`")]
    Expired(Timestamp),
    /// The token is for a host of another name.
    #[error("this token is for the host `{wanted}`, and this one is `{found}`")]
    OtherHost {
        /// Whom it is for.
        wanted: String,
        /// Who uses it.
        found: String,
    },
    /// Another host has this machine id, or this one is enrolled already.
    #[error(
        "machine id `{name}` is enrolled already, by the host `{hostname}`: if this is the same machine, make the \
         token with `tracer-collector enrol --replace`; if it is a copy of it, give it a machine id of its own"
    )]
    Enrolled {
        /// The machine id.
        name: String,
        /// The name of the host that has it.
        hostname: String,
    },
    /// The store cannot say.
    #[error(transparent)]
    Store(#[from] Error),
}

/// An enrolled host, as its certificate names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name: the machine id.
    pub name: String,
    /// What operators say it is.
    pub labels: Labels,
}

/// Says what a certificate is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// It is the host's.
    Good(Member),
    /// The host was revoked.
    Revoked,
    /// Its time is over, another one took its place, or it was never made here.
    Unknown,
}

/// An enrolled host, with what there is to say of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EnrolledHost {
    /// Its name: the machine id.
    #[serde(rename = "host")]
    pub name: String,
    /// The host's name when it was enrolled.
    pub hostname: String,
    /// What operators say it is.
    pub labels: Labels,
    /// When it was enrolled.
    pub enrolled: Timestamp,
    /// Until when its newest certificate holds.
    pub expires: Option<Timestamp>,
    /// When it was revoked.
    pub revoked: Option<Timestamp>,
    /// Its log is another one than was sent before.
    pub rewritten: Option<Finding>,
}

/// What was found of a host, first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// When.
    pub time: Timestamp,
    /// What, in words.
    pub what: String,
}

/// Reads and writes who may send. Several may work on one store.
pub struct Enrolment {
    pub(super) connection: Connection,
}

impl Enrolment {
    /// Opens a store; makes it where there is none.
    pub fn open(location: &Location) -> Result<Self, Error> {
        let connection = location.open_to_write()?;
        Ok(Self { connection })
    }

    /// Keeps a token, and forgets those whose time was over long ago.
    pub fn permit(
        &mut self,
        hash: &[u8; 32],
        permit: &Permit,
        now: Timestamp,
    ) -> Result<(), Error> {
        let Permit {
            hostname,
            labels,
            replaces,
            expires,
        } = permit;
        let labels = labels_json(labels);
        let times = (now.as_nanos(), expires.as_nanos());
        let row = (hash, hostname, labels, replaces, times.0, times.1);
        let transaction = begin(&self.connection)?;
        let long_ago = now.plus_nanos(-MONTH_NS).as_nanos();
        let deleted = transaction.execute(DELETE_OLD_TOKENS, [long_ago]);
        deleted.doing(WRITE)?;
        transaction.execute(INSERT_TOKEN, row).doing(WRITE)?;
        transaction.commit().doing(WRITE)
    }

    /// Says whether a token is good for a host, without using it.
    pub fn check(
        &self,
        hash: &[u8; 32],
        applicant: &Applicant,
        now: Timestamp,
    ) -> Result<Permit, Refusal> {
        check(&self.connection, hash, applicant, now)
    }

    /// Uses a token: enrols the host with its first certificate. Older certificates of it end.
    pub fn enrol(
        &mut self,
        hash: &[u8; 32],
        applicant: &Applicant,
        certificate: Certificate,
        now: Timestamp,
    ) -> Result<Permit, Refusal> {
        let transaction = begin(&self.connection)?;
        let permit = check(&transaction, hash, applicant, now)?;
        let Applicant { name, hostname } = applicant;
        let enrol = || -> sql::Result<()> {
            let (labels, now) = (labels_json(&permit.labels), now.as_nanos());
            transaction.execute(USE_TOKEN, (hash, now, name))?;
            transaction.execute(UPSERT_HOST, (name, hostname, labels, now))?;
            transaction.execute(END_CERTIFICATES, (name, now))?;
            insert(&transaction, name, certificate)
        };
        enrol().doing(WRITE)?;
        transaction.commit().doing(WRITE)?;
        Ok(permit)
    }

    /// Keeps the next certificate of a host. The one before holds until its time is over, as the answer may
    /// not reach the host.
    pub fn renew(
        &mut self,
        name: &str,
        certificate: Certificate,
        now: Timestamp,
    ) -> Result<(), Error> {
        let transaction = begin(&self.connection)?;
        let long_ago = now.plus_nanos(-MONTH_NS).as_nanos();
        let deleted = transaction.execute(DELETE_OLD_CERTIFICATES, [long_ago]);
        deleted.doing(WRITE)?;
        insert(&transaction, name, certificate).doing(WRITE)?;
        transaction.commit().doing(WRITE)
    }

    /// What a certificate is worth: a connection may be older than its end.
    pub fn credential(&self, fingerprint: &[u8; 32], now: Timestamp) -> Result<Credential, Error> {
        let asked = (fingerprint, now.as_nanos());
        let found = self
            .connection
            .optional(SELECT_BY_CERTIFICATE, asked, |row| {
                let (revoked, is_over): (Option<i64>, bool) = (row.get(2)?, row.get(3)?);
                let member = (row.get::<String>(0)?, row.get::<String>(1)?);
                Ok((member, revoked.is_some(), is_over))
            });
        Ok(match found.doing(READ)? {
            Some((_, true, _)) => Credential::Revoked,
            Some(((name, labels), false, false)) => Credential::Good(Member {
                labels: parse_labels(&labels)?,
                name,
            }),
            Some((_, false, true)) | None => Credential::Unknown,
        })
    }

    /// Takes the right to send away from a host; tells whether it had it.
    pub fn revoke(&mut self, name: &str, now: Timestamp) -> Result<bool, Error> {
        let rows = self.connection.execute(REVOKE, (name, now.as_nanos()));
        Ok(rows.doing(WRITE)? > 0)
    }

    /// Remembers that a host's log is another one than was sent before; the first finding stays.
    pub fn mark_rewritten(
        &mut self,
        name: &str,
        finding: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        let row = (name, now.as_nanos(), finding);
        self.connection.execute(MARK, row).doing(WRITE).map(drop)
    }

    /// All hosts that were ever enrolled, by their host names.
    pub fn hosts(&self) -> Result<Vec<EnrolledHost>, Error> {
        all(&self.connection)
    }
}

/// All hosts that were ever enrolled, by their host names.
pub(super) fn all(connection: &Connection) -> Result<Vec<EnrolledHost>, Error> {
    let sql = format!("{SELECT_HOST} ORDER BY hostname, name");
    let rows = connection.rows(&sql, (), host_row).doing(READ)?;
    let host = |(labels, host): (String, EnrolledHost)| {
        parse_labels(&labels).map(|labels| EnrolledHost { labels, ..host })
    };
    rows.into_iter().map(host).collect()
}

fn begin(connection: &Connection) -> Result<Transaction<'_>, Error> {
    connection.begin(Turn::Decide).doing(WRITE)
}

fn check(
    connection: &Connection,
    hash: &[u8; 32],
    Applicant { name, hostname }: &Applicant,
    now: Timestamp,
) -> Result<Permit, Refusal> {
    let found = connection.optional(SELECT_TOKEN, [hash], |row| {
        let labels: String = row.get(1)?;
        let used: Option<i64> = row.get(4)?;
        let permit = Permit {
            hostname: row.get(0)?,
            labels: Labels::new(),
            replaces: row.get(2)?,
            expires: Timestamp::from_nanos(row.get(3)?),
        };
        Ok((permit, labels, used.map(Timestamp::from_nanos)))
    });
    let (permit, labels, used) = found.doing(READ)?.ok_or(Refusal::Unknown)?;
    if let Some(used) = used {
        return Err(Refusal::Used(used));
    }
    if permit.expires <= now {
        return Err(Refusal::Expired(permit.expires));
    }
    let wanted = permit.hostname.as_ref();
    if let Some(wanted) = wanted.filter(|wanted| *wanted != hostname) {
        return Err(Refusal::OtherHost {
            wanted: wanted.clone(),
            found: hostname.clone(),
        });
    }
    let sql = format!("{SELECT_HOST} WHERE name = ?1");
    let known = connection.optional(&sql, [name], host_row);
    let is_taken = |host: &EnrolledHost| host.revoked.is_none() && !permit.replaces;
    let known = known.doing(READ)?.map(|(_, host)| host);
    if let Some(host) = known.filter(is_taken) {
        return Err(Refusal::Enrolled {
            name: host.name,
            hostname: host.hostname,
        });
    }
    let labels = parse_labels(&labels)?;
    Ok(Permit { labels, ..permit })
}

/// A host with its labels as they are written, which are read apart.
fn host_row(row: &Row<'_>) -> sql::Result<(String, EnrolledHost)> {
    let time =
        |index| -> sql::Result<_> { Ok(row.get::<Option<i64>>(index)?.map(Timestamp::from_nanos)) };
    let finding: Option<String> = row.get(6)?;
    let host = EnrolledHost {
        name: row.get(0)?,
        hostname: row.get(1)?,
        labels: Labels::new(),
        enrolled: Timestamp::from_nanos(row.get(3)?),
        expires: time(7)?,
        revoked: time(4)?,
        rewritten: time(5)?
            .zip(finding)
            .map(|(time, what)| Finding { time, what }),
    };
    Ok((row.get(2)?, host))
}

fn insert(connection: &Connection, name: &str, certificate: Certificate) -> sql::Result<()> {
    let Certificate {
        fingerprint,
        issued,
        expires,
    } = certificate;
    let row = (fingerprint, name, issued.as_nanos(), expires.as_nanos());
    connection.execute(INSERT_CERTIFICATE, row).map(drop)
}

fn labels_json(labels: &Labels) -> String {
    serde_json::to_string(labels).expect("labels are plain text")
}

fn parse_labels(json: &str) -> Result<Labels, Error> {
    serde_json::from_str(json).map_err(|error| Error::Row {
        table: "enrolled",
        what: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: [u8; 32] = [7; 32];

    fn at(second: i64) -> Timestamp {
        Timestamp::from_nanos(second * 1_000_000_000)
    }

    fn web(hostname: &str) -> Applicant {
        Applicant {
            name: "5f3c".to_owned(),
            hostname: hostname.to_owned(),
        }
    }

    fn certificate(number: u8) -> Certificate {
        Certificate {
            fingerprint: [number; 32],
            issued: at(1),
            expires: at(1000),
        }
    }

    fn permit() -> Permit {
        Permit {
            hostname: None,
            labels: [("role".to_owned(), "db".to_owned())].into(),
            replaces: false,
            expires: at(100),
        }
    }

    fn with_token(permit: &Permit) -> (tempfile::TempDir, Enrolment) {
        let dir = tempfile::tempdir().unwrap();
        let mut enrolment = Enrolment::open(&Location::within(dir.path())).unwrap();
        enrolment.permit(&HASH, permit, at(0)).unwrap();
        (dir, enrolment)
    }

    fn credential(enrolment: &Enrolment, number: u8) -> Credential {
        enrolment.credential(&[number; 32], at(10)).unwrap()
    }

    #[test]
    fn a_token_enrols_one_host_once() {
        let (_dir, mut enrolment) = with_token(&permit());
        let web = web("web-1");
        assert_eq!(enrolment.check(&HASH, &web, at(1)).unwrap(), permit());
        let enrolled = enrolment.enrol(&HASH, &web, certificate(1), at(2));
        assert_eq!(enrolled.unwrap(), permit());
        let again = enrolment.enrol(&HASH, &web, certificate(2), at(3));
        assert!(matches!(again, Err(Refusal::Used(time)) if time == at(2)));
        let member = Member {
            name: "5f3c".to_owned(),
            labels: permit().labels,
        };
        assert_eq!(credential(&enrolment, 1), Credential::Good(member));
        assert_eq!(credential(&enrolment, 2), Credential::Unknown);
        let over = enrolment.credential(&[1; 32], at(1000)).unwrap();
        assert_eq!(over, Credential::Unknown);
    }

    #[test]
    fn a_token_that_is_unknown_too_old_or_of_another_host_is_refused() {
        let other = Permit {
            hostname: Some("web-2".to_owned()),
            ..permit()
        };
        let (_dir, mut enrolment) = with_token(&other);
        let mut refusal = |hash, time| {
            let refused = enrolment.enrol(hash, &web("web-1"), certificate(1), at(time));
            refused.unwrap_err()
        };
        assert!(matches!(refusal(&[8; 32], 1), Refusal::Unknown));
        assert!(matches!(refusal(&HASH, 100), Refusal::Expired(_)));
        assert!(matches!(refusal(&HASH, 1), Refusal::OtherHost { .. }));
        assert!(enrolment.hosts().unwrap().is_empty());
    }

    #[test]
    fn a_machine_id_is_enrolled_twice_only_where_the_token_says_so() {
        let (_dir, mut enrolment) = with_token(&permit());
        let web_1 = web("web-1");
        enrolment
            .enrol(&HASH, &web_1, certificate(1), at(2))
            .unwrap();
        enrolment.permit(&[8; 32], &permit(), at(3)).unwrap();
        let refused = enrolment.enrol(&[8; 32], &web("copy"), certificate(2), at(4));
        assert!(matches!(refused, Err(Refusal::Enrolled { hostname, .. }) if hostname == "web-1"));
        let replacing = Permit {
            replaces: true,
            ..permit()
        };
        enrolment.permit(&[9; 32], &replacing, at(5)).unwrap();
        enrolment
            .enrol(&[9; 32], &web_1, certificate(2), at(6))
            .unwrap();
        assert_eq!(credential(&enrolment, 1), Credential::Unknown);
        assert!(matches!(credential(&enrolment, 2), Credential::Good(_)));
    }

    #[test]
    fn a_revoked_host_may_not_send_until_it_is_enrolled_again() {
        let (_dir, mut enrolment) = with_token(&permit());
        let web = web("web-1");
        enrolment.enrol(&HASH, &web, certificate(1), at(2)).unwrap();
        enrolment.renew("5f3c", certificate(2), at(3)).unwrap();
        assert!(matches!(credential(&enrolment, 1), Credential::Good(_)));
        assert!(enrolment.revoke("5f3c", at(4)).unwrap());
        assert!(!enrolment.revoke("5f3c", at(5)).unwrap());
        assert_eq!(credential(&enrolment, 1), Credential::Revoked);
        assert_eq!(credential(&enrolment, 2), Credential::Revoked);
        assert_eq!(enrolment.hosts().unwrap()[0].revoked, Some(at(4)));
        enrolment.permit(&[8; 32], &permit(), at(6)).unwrap();
        enrolment
            .enrol(&[8; 32], &web, certificate(3), at(7))
            .unwrap();
        assert_eq!(credential(&enrolment, 1), Credential::Unknown);
        assert!(matches!(credential(&enrolment, 3), Credential::Good(_)));
    }

    #[test]
    fn a_certificate_that_a_restore_lost_is_taken_in_where_nothing_speaks_against_it() {
        let issued = |number, second| Certificate {
            issued: at(second),
            ..certificate(number)
        };
        // A copy taken at 20 and put back at 30, of a host that was enrolled at 2.
        let restored = || {
            let (dir, mut enrolment) = with_token(&permit());
            let web = web("web-1");
            enrolment.enrol(&HASH, &web, certificate(1), at(2)).unwrap();
            let row = "INSERT INTO restores (restored, taken) VALUES (30000000000, 20000000000)";
            enrolment.connection.execute(row, ()).unwrap();
            (dir, enrolment)
        };
        let (_dir, mut enrolment) = restored();
        assert!(!enrolment.adopt("5f3c", issued(2, 10)).unwrap());
        assert!(!enrolment.adopt("5f3c", issued(2, 31)).unwrap());
        assert!(!enrolment.adopt("other", issued(2, 25)).unwrap());
        assert_eq!(credential(&enrolment, 2), Credential::Unknown);
        assert!(enrolment.adopt("5f3c", issued(2, 25)).unwrap());
        assert!(matches!(credential(&enrolment, 2), Credential::Good(_)));
        assert!(!enrolment.adopt("5f3c", issued(2, 25)).unwrap(), "once");
        assert!(enrolment.revoke("5f3c", at(40)).unwrap());
        assert!(!enrolment.adopt("5f3c", issued(3, 25)).unwrap());

        // Enrolled anew since: whoever has an older certificate is not the host any more.
        let (_dir, mut enrolment) = restored();
        let replacing = Permit {
            replaces: true,
            ..permit()
        };
        enrolment.permit(&[9; 32], &replacing, at(41)).unwrap();
        enrolment
            .enrol(&[9; 32], &web("web-1"), certificate(4), at(42))
            .unwrap();
        assert!(!enrolment.adopt("5f3c", issued(2, 25)).unwrap());
        assert!(matches!(credential(&enrolment, 4), Credential::Good(_)));
    }

    #[test]
    fn the_first_finding_about_a_rewritten_log_stays() {
        let (_dir, mut enrolment) = with_token(&permit());
        let web = web("web-1");
        enrolment.enrol(&HASH, &web, certificate(1), at(2)).unwrap();
        enrolment.mark_rewritten("5f3c", "first", at(3)).unwrap();
        enrolment.mark_rewritten("5f3c", "second", at(4)).unwrap();
        let host = enrolment.hosts().unwrap().remove(0);
        let first = Finding {
            time: at(3),
            what: "first".to_owned(),
        };
        assert_eq!(host.rewritten, Some(first));
        assert_eq!((host.enrolled, host.expires), (at(2), Some(at(1000))));
    }
}
