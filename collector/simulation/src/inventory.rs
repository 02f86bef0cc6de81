//! Inventories: what a Debian server has, from lists of real packages, files, services and kernel parameters.

use std::collections::BTreeMap;

use change::wire::FactNow;
use change::{FactValue, FileState, Kind, Subject, Timestamp};

use crate::chance::once_in;

const BASE: &str = include_str!("../lists/packages-base.txt");
const DB: &str = include_str!("../lists/packages-db.txt");
const WEB: &str = include_str!("../lists/packages-web.txt");
const SYSCTLS: &str = include_str!("../lists/sysctls.txt");
const FILES: &str = include_str!("../lists/files.txt");
const SERVICES: &str = include_str!("../lists/services.txt");

/// Of files that the people of this fleet have written themselves.
const OWN_FILES: u64 = 160;
/// Who has an account on each host: a user, the state of a password and a group each.
const ACCOUNTS: u64 = 60;

/// Says what a host is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A database server.
    Db,
    /// A web server.
    Web,
}

impl Role {
    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Db => "db",
            Self::Web => "web",
        }
    }
}

/// All facts of a host as they were when its tracer first looked.
pub fn facts(number: u64, role: Role, since: Timestamp) -> Vec<FactNow> {
    let packages = match role {
        Role::Db => [BASE, DB],
        Role::Web => [BASE, WEB],
    };
    let packages = packages.into_iter().flat_map(rows).filter_map(package);
    let sysctls = rows(SYSCTLS).filter_map(|row| row.split_once(' '));
    let sysctls = sysctls.map(|(name, value)| (Kind::Sysctl, name.to_owned(), setting(value)));
    let services = rows(SERVICES).map(|name| {
        let words = [("active", "active"), ("enabled", "enabled")];
        (Kind::Service, name.to_owned(), attributes(&words))
    });
    let files = rows(FILES).map(|path| (Kind::File, path.to_owned(), file(path, path)));
    let all = packages.chain(sysctls).chain(services).chain(files);
    let all = all
        .chain(own_files())
        .chain(accounts())
        .chain(of_one(number));
    let fact = |(kind, key, value): (Kind, String, FactValue)| FactNow {
        subject: subject(kind, &key),
        value: Some(drifted(number, &key, value)),
        since,
    };
    all.map(fact).collect()
}

fn rows(list: &'static str) -> impl Iterator<Item = &'static str> {
    list.lines().filter(|row| !row.starts_with('#'))
}

type Named = (Kind, String, FactValue);

fn package(row: &str) -> Option<Named> {
    let (name, rest) = row.split_once(' ')?;
    let (version, arch) = rest.split_once(' ')?;
    let value = attributes(&[("version", version), ("arch", arch)]);
    Some((Kind::Package, name.to_owned(), value))
}

fn own_files() -> impl Iterator<Item = Named> {
    (0..OWN_FILES).map(|number| {
        let path = format!("/opt/shop/conf.d/{number:03}.conf");
        let value = file(&path, &path);
        (Kind::File, path, value)
    })
}

fn accounts() -> impl Iterator<Item = Named> {
    (0..ACCOUNTS).flat_map(|number| {
        let (name, uid) = (format!("user{number:02}"), (1000 + number).to_string());
        let home = format!("/home/{name}");
        let words = [
            ("home", home.as_str()),
            ("shell", "/bin/bash"),
            ("uid", &uid),
        ];
        [
            (format!("user/{name}"), attributes(&words)),
            (
                format!("password/{name}"),
                attributes(&[("state", "locked")]),
            ),
            (
                format!("group/{name}"),
                attributes(&[("gid", uid.as_str())]),
            ),
        ]
        .map(|(key, value)| (Kind::Account, key, value))
    })
}

/// What each host has for itself, and what comes in a few makes.
fn of_one(number: u64) -> impl Iterator<Item = Named> {
    let own = |what: &str| format!("{what} {number}");
    let make = ["ThinkSystem SR630", "PowerEdge R650", "ProLiant DL360"][(number % 3) as usize];
    let keys = ["rsa", "ecdsa", "ed25519"].map(|kind| {
        let path = format!("/etc/ssh/ssh_host_{kind}_key.pub");
        let value = file(&path, &own(kind));
        (Kind::File, path, value)
    });
    let rest = [
        (Kind::Host, "name", setting(&hostname(number))),
        (
            Kind::File,
            "/etc/hostname",
            file("/etc/hostname", &own("name")),
        ),
        (
            Kind::File,
            "/etc/machine-id",
            file("/etc/machine-id", &own("id")),
        ),
        (Kind::Hardware, "machine", attributes(&[("product", make)])),
        (
            Kind::Hardware,
            "disk/0",
            attributes(&[("serial", &own("disk"))]),
        ),
        (
            Kind::Hardware,
            "network/0",
            attributes(&[("address", &own("mac"))]),
        ),
        (
            Kind::Mount,
            "/",
            attributes(&[("source", &own("uuid")), ("type", "ext4")]),
        ),
    ];
    let rest = rest.map(|(kind, key, value)| (kind, key.to_owned(), value));
    let with_address = with_address(number).map(|(path, text)| {
        let value = file(path, &text);
        (Kind::File, path.to_owned(), value)
    });
    keys.into_iter().chain(rest).chain(with_address)
}

/// The address of a host by its number, from 1.
pub fn address(number: u64) -> String {
    format!(
        "10.{}.{}.{}",
        number >> 16 & 255,
        number >> 8 & 255,
        number & 255
    )
}

/// Files in which a host's address stands, with what they hold.
pub fn with_address(number: u64) -> [(&'static str, String); 3] {
    let (address, hostname) = (address(number), hostname(number));
    [
        (
            "/etc/hosts",
            format!("127.0.0.1 localhost\n{address} {hostname}.example {hostname}\n"),
        ),
        (
            "/etc/network/interfaces",
            format!("iface eth0 inet static\n  address {address}/8\n  gateway 10.255.255.254\n"),
        ),
        ("/opt/shop/listen.conf", format!("listen {address}:8080;\n")),
    ]
}

/// What a fleet has of its own by the years: here and there somebody set something.
fn drifted(number: u64, key: &str, value: FactValue) -> FactValue {
    let hash = blake3::hash(key.as_bytes());
    let (first, _) = hash.as_bytes().as_chunks();
    let key = u64::from_le_bytes(first[0]);
    match value {
        FactValue::Setting { .. } if once_in(40_000, &[1, number, key]) => setting("17"),
        FactValue::File(state) if once_in(9_000, &[2, number, key]) => FactValue::File(FileState {
            mode: "0640".to_owned(),
            ..state
        }),
        value => value,
    }
}

/// The name of a host by its number, from 1.
pub fn hostname(number: u64) -> String {
    format!("n{number}")
}

/// A subject by kind and key.
pub fn subject(kind: Kind, key: &str) -> Subject {
    Subject {
        kind,
        key: key.into(),
    }
}

/// A value that is only one.
pub fn setting(value: &str) -> FactValue {
    FactValue::Setting {
        value: value.to_owned(),
    }
}

/// A value of names and words.
pub fn attributes(words: &[(&str, &str)]) -> FactValue {
    let owned = words
        .iter()
        .map(|(name, word)| ((*name).to_owned(), (*word).to_owned()));
    FactValue::Attributes(owned.collect::<BTreeMap<_, _>>())
}

/// A file whose content stands for a text.
pub fn file(path: &str, text: &str) -> FactValue {
    FactValue::File(FileState {
        hash: Some(format!("b3:{}", blake3::hash(text.as_bytes()).to_hex())),
        size: text.len() as u64 * 31,
        mode: "0644".to_owned(),
        inode: path.len() as u64,
        ..FileState::default()
    })
}
