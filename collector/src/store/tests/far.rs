//! A PostgreSQL server on another host: what is said to it goes by TLS, and only to whom it is meant for.

use std::fs;
use std::path::Path;

use change::Timestamp;
use change::wire::{Batch, Sender};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use simulation::server::Server;

use crate::fleet::{Fleet as _, HostId};
use crate::store::{Location, Reader, Store};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// The certificate of a server by an address, and its key.
fn certificate(name: &str, authority: &Authority) -> [String; 2] {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new([name.to_owned()]).unwrap();
    let signed = params.signed_by(&key, authority).unwrap();
    [signed.pem(), key.serialize_pem()]
}

/// What is said where a store cannot be opened.
fn said(url: &str) -> String {
    let opened = Store::open(&url.parse().unwrap());
    opened
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default()
}

#[test]
fn a_far_server_is_believed_by_its_certificate_alone() {
    let own = authority("own");
    let [certificate, key] = certificate("127.0.0.1", &own);
    let mut server = Server::begin().unwrap();
    let port = server.listen(&certificate, &key).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, authority: &Authority| {
        let path = folder.path().join(name);
        fs::write(&path, authority.pem()).unwrap();
        path
    };
    let (own, other) = (
        file("own.pem", &own),
        file("other.pem", &authority("other")),
    );
    let store = server.new_store().unwrap();
    let url = |host: &str, more: &str| format!("postgres://postgres@{host}:{port}{store}&{more}");
    let strict = |host: &str, roots: &Path| {
        let roots = roots.to_string_lossy().replace('/', "%2F");
        url(host, &format!("sslmode=verify-full&sslrootcert={roots}"))
    };

    let location: Location = strict("127.0.0.1", &own).parse().unwrap();
    let batch = Batch {
        sender: Sender {
            machine: "m".to_owned(),
            hostname: "web-1".to_owned(),
            log: "log".to_owned(),
            ..Sender::default()
        },
        first_seq: 1,
        ..Batch::default()
    };
    let at = Timestamp::from_parts(1_795_000_000, 0);
    let taken = Store::open(&location)
        .unwrap()
        .ingest(&HostId("web".to_owned()), batch, at);
    assert_eq!(taken.unwrap().durable_seq, 0);
    assert_eq!(Reader::open(&location).unwrap().hosts().unwrap().len(), 1);

    let forged = said(&strict("127.0.0.1", &other));
    assert!(
        forged.contains("invalid peer certificate: UnknownIssuer"),
        "{forged}"
    );
    let misnamed = said(&strict("127.0.0.2", &own));
    assert!(misnamed.contains("not valid for name"), "{misnamed}");
    let plain = said(&url("127.0.0.1", "sslmode=disable"));
    assert!(plain.contains("no encryption"), "{plain}");
    let nowhere = said(&strict("127.0.0.1", Path::new("/nowhere/roots.pem")));
    assert!(
        nowhere.contains("authorities `/nowhere/roots.pem`"),
        "{nowhere}"
    );
}
