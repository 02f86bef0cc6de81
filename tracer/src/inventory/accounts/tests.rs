//! Accounts read of samples of their files, and of what nobody should write there.

use std::fs;

use change::FactValue;

use super::*;

/// A root that has some files, and what is read of it.
fn facts(files: &[(&str, &[u8])]) -> Vec<String> {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().canonicalize().unwrap();
    for (name, text) in files {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let accounts = Accounts::below(&root);
    let show = |value: &str, is_secret| {
        let hidden = || format!("k3:{}", value.len());
        if is_secret {
            hidden()
        } else {
            value.to_owned()
        }
    };
    let mut shown = Vec::new();
    for part in accounts.parts() {
        let prefix = part.prefix();
        for (key, value) in accounts.read(&part, &show) {
            assert!(key.as_bytes().starts_with(prefix.as_bytes()), "{key}");
            let FactValue::Attributes(attributes) = value else {
                panic!("{key} has no attributes");
            };
            let attributes = attributes
                .iter()
                .map(|(name, value)| format!("{name}={value}"));
            shown.push(format!(
                "{key} {}",
                attributes.collect::<Vec<_>>().join(" | ")
            ));
        }
    }
    shown
}

#[test]
fn users_are_read_and_what_is_none_is_passed_over() {
    let passwd = b"root:x:0:0:root:/root:/bin/bash\n\
        alice:x:01000:1000:Alice,,,:/home/alice:/bin/zsh\n\
        alice:x:0:0::/root:/bin/sh\n\
        open::1001:1001:::\n\
        old:$1$abc:1002:1002::/:/bin/sh\n\
        off:*:1003:1003::/:\n\
        +@netgroup::::::\n#bob:x:1:1::/:/bin/sh\n:x:1:1::/:\nshort:x:1\n\
        big:x:4294967296:1::/:\nneg:x:-1:1::/:\nlong:x:1:1::/:/bin/sh:more\n\
        \xff\xfe:x:7:7:\xff:/:/bin/sh\n";
    insta::assert_snapshot!(facts(&[(USERS, passwd)]).join("\n"), @r"
    user/alice gecos=Alice,,, | gid=1000 | home=/home/alice | shell=/bin/zsh | uid=1000
    user/off gid=1003 | home=/ | password=locked | uid=1003
    user/old gid=1002 | home=/ | password=set | shell=/bin/sh | uid=1002
    user/open gid=1001 | password=none | uid=1001
    user/root gecos=root | gid=0 | home=/root | shell=/bin/bash | uid=0
    user/\xff\xfe gecos=� | gid=7 | home=/ | shell=/bin/sh | uid=7
    ");
}

#[test]
fn of_passwords_there_is_all_but_the_secret() {
    let shadow = b"root:*:19000:0:99999:7:::\n\
        alice:$y$j9T$salt$hash:19676:0:90:7:14:20000:\n\
        bob:!$y$j9T$salt$hash:0:0:99999:7:::\n\
        new:!:19676::::::\nnobody::19676:0:99999:7:::\nfew:!!\nnone\n\
        odd:\xff$:99999999999999999:x:-1::::\n";
    let shown = facts(&[(PASSWORDS, shadow)]).join("\n");
    assert!(!shown.contains("salt"), "{shown}");
    insta::assert_snapshot!(shown, @"
    password/alice changed=2023-11-15 | expires=2024-10-04 | hash=k3:16 | inactive-days=14 | max-days=90 | min-days=0 | state=set | warn-days=7
    password/bob hash=k3:16 | max-days=99999 | min-days=0 | must-change=yes | state=locked | warn-days=7
    password/few state=locked
    password/new changed=2023-11-15 | state=locked
    password/nobody changed=2023-11-15 | max-days=99999 | min-days=0 | state=none | warn-days=7
    password/odd hash=k3:4 | state=set
    password/root changed=2022-01-08 | max-days=99999 | min-days=0 | state=locked | warn-days=7
    ");
}

#[test]
fn groups_have_their_members_whatever_their_order() {
    let group = b"root:x:0:\ndocker:x:998:bob,alice,,bob\nopen::7:\nold:$1$x:8:\n\
        +:::\nodd:x:y:a\nshort:x:1\n";
    insta::assert_snapshot!(facts(&[(GROUPS, group)]).join("\n"), @"
    group/docker gid=998 | members=alice,bob
    group/old gid=8 | password=set
    group/open gid=7
    group/root gid=0
    ");
}

#[test]
fn rules_of_sudo_are_kept_by_whom_they_are_for() {
    let sudoers = b"# comment\nDefaults\tenv_reset # why\nDefaults:alice !authenticate\n\
        User_Alias ADMINS = alice , bob\n\
        Cmnd_Alias DB = /usr/bin/mysql --password=hunter2, /bin/ls\n\
        root   ALL=(ALL:ALL)   ALL\n%sudo ALL = (ALL : ALL) NOPASSWD : ALL\n\
        alice, bob,#1002 ALL=(root) \\\n   /bin/systemctl restart nginx, PASSWD: /bin/x a\\,b\n\
        \"%domain users\" ALL=ALL\n@includedir /etc/sudoers.d\n#include /etc/other\n\
        \xff ALL=ALL\n\n   \n";
    let files: &[(&str, &[u8])] = &[
        (SUDO, sudoers),
        (
            "etc/sudoers.d/90-x",
            b"alice ALL=(ALL) NOPASSWD:ALL\nalice h=/bin/y",
        ),
        ("etc/sudoers.d/README", b"# nothing"),
        ("etc/sudoers.d/90-x.bak", b"eve ALL=(ALL) ALL"),
        ("etc/sudoers.d/90-x~", b"eve ALL=(ALL) ALL"),
    ];
    let shown = facts(files).join("\n");
    assert!(!shown.contains("hunter2"), "{shown}");
    insta::assert_snapshot!(shown, @r#"
    sudo/"%domain users" /etc/sudoers=ALL=ALL
    sudo/#1002 /etc/sudoers=ALL=(root) /bin/systemctl restart nginx, PASSWD:/bin/x a\,b
    sudo/%sudo /etc/sudoers=ALL=(ALL:ALL) NOPASSWD:ALL
    sudo/@include /etc/sudoers=/etc/other
    sudo/@includedir /etc/sudoers=/etc/sudoers.d
    sudo/Cmnd_Alias/DB /etc/sudoers=DB=/usr/bin/mysql --password=*** /bin/ls
    sudo/Defaults /etc/sudoers=env_reset
    sudo/Defaults:alice /etc/sudoers=!authenticate
    sudo/User_Alias/ADMINS /etc/sudoers=ADMINS=alice, bob
    sudo/alice /etc/sudoers=ALL=(root) /bin/systemctl restart nginx, PASSWD:/bin/x a\,b | /etc/sudoers.d/90-x=ALL=(ALL) NOPASSWD:ALL; h=/bin/y
    sudo/bob /etc/sudoers=ALL=(root) /bin/systemctl restart nginx, PASSWD:/bin/x a\,b
    sudo/root /etc/sudoers=ALL=(ALL:ALL) ALL
    sudo/� /etc/sudoers=ALL=ALL
    "#);
}

/// The key of the tests, with the fingerprint that `ssh-keygen -lf` shows of it.
const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

#[test]
fn keys_are_known_by_their_fingerprints() {
    let own = format!(
        "# mine\n{KEY} alice@laptop and more\n{KEY} again\n\
         from=\"10.0.0.0/8\",command=\"backup --password=hunter2 \\\"a b\\\"\" ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAAQE=\n\
         ssh-rsa {}\nssh-ed25519 !!!\nnothing\nssh-ed25519\n-----BEGIN OPENSSH PRIVATE KEY-----\n",
        KEY.split(' ').nth(1).unwrap(),
    );
    let odd = b"\xff\xff \xff\nssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB \xff\n";
    let files: &[(&str, &[u8])] = &[
        ("home/alice/.ssh/authorized_keys", own.as_bytes()),
        ("home/alice/.ssh/authorized_keys2", odd),
        ("root/.ssh/authorized_keys", KEY.as_bytes()),
    ];
    let shown = facts(files).join("\n");
    assert!(!shown.contains("hunter2"), "{shown}");
    insta::assert_snapshot!(shown, @r#"
    key/root/SHA256:kmYcvdi2GkPeWxB6XLjrZB8JHsy2Hm8luHMFp9GMvqk type=ssh-ed25519
    key/alice/SHA256:TGwxL2tn86yGvHUuj5xbrHZrZRkNkxpYSs4L/IeN8Gc options=from="10.0.0.0/8",command="backup --password=*** \"a b\"" | type=ssh-rsa
    key/alice/SHA256:gOPgXFWkBoXrFVwpjf0SBo3P1kFs+IvH5q/vnQhNpFw comment=� | type=ssh-ed25519
    key/alice/SHA256:kmYcvdi2GkPeWxB6XLjrZB8JHsy2Hm8luHMFp9GMvqk comment=alice@laptop and more | type=ssh-ed25519
    "#);
}

#[test]
fn a_link_to_keys_is_not_followed() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().canonicalize().unwrap();
    let folder = root.join("home/eve/.ssh");
    fs::create_dir_all(&folder).unwrap();
    fs::write(root.join("other"), KEY).unwrap();
    std::os::unix::fs::symlink(root.join("other"), folder.join("authorized_keys")).unwrap();
    let part = Part::Keys("eve".into());
    let show = |value: &str, _| value.to_owned();
    assert!(Accounts::below(&root).read(&part, &show).is_empty());
}

#[test]
fn a_file_decides_the_part_that_it_is_of() {
    let of = |path: &str| Part::of(&path.into());
    let keys = |owner: &str| Some(Part::Keys(owner.into()));
    assert_eq!(of("/etc/passwd"), Some(Part::Users));
    assert_eq!(of("/etc/shadow"), Some(Part::Passwords));
    assert_eq!(of("/etc/group"), Some(Part::Groups));
    for path in ["/etc/sudoers", "/etc/sudoers.d", "/etc/sudoers.d/90-x"] {
        assert_eq!(of(path), Some(Part::Sudo), "{path}");
    }
    assert_eq!(of("/root/.ssh/authorized_keys"), keys("root"));
    assert_eq!(of("/root/.ssh"), keys("root"));
    assert_eq!(of("/home/alice/.ssh/authorized_keys2"), keys("alice"));
    assert_eq!(of("/home/alice"), keys("alice"));
    for path in [
        "",
        "/",
        "/etc",
        "/home",
        "/etc/passwd-",
        "/etc/passwd/x",
        "/etc/sudoers.d/a/b",
        "/etc/sudoers.d/90-x~",
        "/etc/sudoers.d/90-x.dpkg-new",
        "/home/alice/.ssh/id_ed25519",
        "/home/alice/.bashrc",
        "etc/passwd",
    ] {
        assert_eq!(of(path), None, "{path}");
    }
}

#[test]
fn hostile_files_are_read_within_limits() {
    let long = vec![b':'; 9 << 20];
    let many: Vec<u8> = (0..100_000)
        .flat_map(|n| format!("u{n}:x:{n}:0:::\n").into_bytes())
        .collect();
    let rules = b"eve ALL=ALL\n".repeat(50_000);
    let names = ["etc/passwd", "etc/shadow", "etc/group", "etc/sudoers"];
    for text in [
        long.as_slice(),
        &many,
        &rules,
        b"\0\n\0",
        b"\\\n\\\n\\",
        b"\"\n\"\"\"",
    ] {
        for name in names {
            let facts = facts(&[(name, text)]);
            assert!(facts.len() <= 4096, "{name}: {} facts", facts.len());
            let longest = facts.iter().map(String::len).max().unwrap_or_default();
            assert!(longest < 1 << 17, "{name}: {longest} bytes");
        }
    }
}
