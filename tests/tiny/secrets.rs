//! What must never reach the disk.

use std::fs;

use serde_json::Value;

use crate::daemon;

const PASSWORD: &str = "c2VjcmV0IG9mIHNoYWRvdw";
const KEY: &str = "b3BlbnNzaC1rZXktdjEAAAAA";

/// Whether the bytes are anywhere in the files of the store.
fn is_stored(secret: &str) -> bool {
    let files = fs::read_dir(daemon().state()).unwrap();
    files.into_iter().any(|file| {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        bytes
            .windows(secret.len())
            .any(|window| window == secret.as_bytes())
    })
}

fn is_kept_as_a_secret(change: &Value) {
    assert_eq!(change["after"]["content"], "secret", "{change:#}");
    let hash = change["after"]["hash"].as_str().unwrap_or_default();
    assert!(hash.starts_with("k3:"), "{change:#}");
    assert_eq!(change["diff"], Value::Null, "{change:#}");
}

#[test]
fn the_content_of_shadow_is_never_stored() {
    for line in ["a", "b"] {
        fs::write("/etc/shadow", format!("root:{PASSWORD}{line}:1::::::\n")).unwrap();
        let change = daemon().who("/etc/shadow").remove(0);
        is_kept_as_a_secret(&change);
    }
    assert!(!is_stored(PASSWORD), "the password is in the store");
}

#[test]
fn a_private_key_is_never_stored_wherever_it_lies() {
    let path = daemon().tree().join("notes.txt");
    let text = format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{KEY}\n");
    fs::write(&path, text).unwrap();
    is_kept_as_a_secret(&daemon().who(&path).remove(0));
    assert!(!is_stored(KEY), "the key is in the store");
}

#[test]
fn what_is_no_secret_is_found_where_the_secrets_were_looked_for() {
    // Contents are compressed, but this is too short for it, and the path is stored as it is.
    let path = daemon().tree().join("in-plain-sight");
    fs::write(&path, "x").unwrap();
    daemon().one(&path);
    assert!(is_stored("in-plain-sight"), "the search does not work");
}
