//! What secrets look like that need no name before them: private keys, hashes of passwords, tokens of
//! widespread services. Told by how they begin, and by what must follow, so that little else is taken
//! for one.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, Input};

/// How a secret begins, and what must follow.
struct Format(&'static [u8], Rest);

/// What must follow the beginning of a secret.
enum Rest {
    /// Nothing more.
    Nothing,
    /// The rest of a line that begins a private key in PEM, `OpenSSH`'s and PGP's form.
    KeyLine,
    /// At least so many letters and digits, and perhaps the marks; before the beginning there is
    /// neither.
    Word(usize, &'static [u8]),
    /// Exactly so many capital letters and digits.
    Capitals(usize),
    /// Two more parts of base64url behind dots, as in a JWT.
    TwoParts,
}

/// How far behind `-----BEGIN ` `PRIVATE KEY` can end: `ENCRYPTED`, `OPENSSH`, `PGP … BLOCK`.
const KEY_LINE: usize = 48;

const URL: &[u8] = b"-_";

/// Private keys first, then the hashes of passwords in files like `/etc/shadow` and `.htpasswd`, by
/// method as in crypt(5), then tokens. All in capitals with `LS0t` are private keys in base64, as
/// manifests and kubeconfigs have them.
const FORMATS: [Format; 59] = [
    Format(b"-----BEGIN ", Rest::KeyLine),
    Format(b"LS0tLS1CRUdJTiBQUklWQVRFIEtFWS", Rest::Nothing),
    Format(b"LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVkt", Rest::Nothing),
    Format(b"LS0tLS1CRUdJTiBFQyBQUklWQVRFIEtFWS", Rest::Nothing),
    Format(b"LS0tLS1CRUdJTiBPUEVOU1NIIFBSSVZBVEUgS0VZ", Rest::Nothing),
    Format(
        b"LS0tLS1CRUdJTiBFTkNSWVBURUQgUFJJVkFURSBLRVkt",
        Rest::Nothing,
    ),
    Format(b"AGE-SECRET-KEY-", Rest::Nothing),
    Format(b"AGE-PLUGIN-", Rest::Nothing),
    Format(b"PuTTY-User-Key-File-", Rest::Nothing),
    Format(b"PrivateKey =", Rest::Nothing),
    Format(b"PrivateKey=", Rest::Nothing),
    Format(b":$y$", Rest::Nothing),
    Format(b":$gy$", Rest::Nothing),
    Format(b":$7$", Rest::Nothing),
    Format(b":$6$", Rest::Nothing),
    Format(b":$5$", Rest::Nothing),
    Format(b":$1$", Rest::Nothing),
    Format(b":$2a$", Rest::Nothing),
    Format(b":$2b$", Rest::Nothing),
    Format(b":$2y$", Rest::Nothing),
    Format(b":$apr1$", Rest::Nothing),
    Format(b":{SHA}", Rest::Nothing),
    Format(b":{SSHA", Rest::Nothing),
    // AWS
    Format(b"AKIA", Rest::Capitals(16)),
    Format(b"ASIA", Rest::Capitals(16)),
    // GitHub
    Format(b"ghp_", Rest::Word(30, b"")),
    Format(b"gho_", Rest::Word(30, b"")),
    Format(b"ghu_", Rest::Word(30, b"")),
    Format(b"ghs_", Rest::Word(30, b"")),
    Format(b"ghr_", Rest::Word(30, b"")),
    Format(b"github_pat_", Rest::Word(40, b"_")),
    // GitLab
    Format(b"glpat-", Rest::Word(20, URL)),
    Format(b"gldt-", Rest::Word(20, URL)),
    Format(b"glrt-", Rest::Word(20, URL)),
    Format(b"glptt-", Rest::Word(20, URL)),
    Format(b"glcbt-", Rest::Word(20, URL)),
    // Slack
    Format(b"xoxb-", Rest::Word(20, b"-")),
    Format(b"xoxp-", Rest::Word(20, b"-")),
    Format(b"xoxa-", Rest::Word(20, b"-")),
    Format(b"xoxr-", Rest::Word(20, b"-")),
    Format(b"xoxs-", Rest::Word(20, b"-")),
    Format(b"xapp-", Rest::Word(20, b"-")),
    Format(b"hooks.slack.com/services/T", Rest::Word(20, b"/")),
    // JWT
    Format(b"eyJ", Rest::TwoParts),
    // Others
    Format(b"AIza", Rest::Word(35, URL)),
    Format(b"GOCSPX-", Rest::Word(20, URL)),
    Format(b"hvs.", Rest::Word(24, URL)),
    Format(b"hvb.", Rest::Word(24, URL)),
    Format(b"sk_live_", Rest::Word(20, b"")),
    Format(b"rk_live_", Rest::Word(20, b"")),
    Format(b"sk-ant-", Rest::Word(30, URL)),
    Format(b"sk-proj-", Rest::Word(30, URL)),
    Format(b"npm_", Rest::Word(36, b"")),
    Format(b"pypi-AgEIcHlwaS5vcmc", Rest::Word(30, URL)),
    Format(b"dop_v1_", Rest::Word(60, b"")),
    Format(b"SG.", Rest::Word(60, b"-_.")),
    Format(b"dckr_pat_", Rest::Word(20, URL)),
    Format(b"tskey-", Rest::Word(20, b"-")),
    Format(b"shpat_", Rest::Word(32, b"")),
];

static BEGINNINGS: LazyLock<AhoCorasick> = LazyLock::new(|| {
    let beginnings = FORMATS.iter().map(|Format(beginning, _)| beginning);
    AhoCorasick::new(beginnings).expect("a few short words make a small automaton")
});

/// Whether there is a secret in the bytes.
pub(crate) fn is_in(bytes: &[u8]) -> bool {
    let mut from = 0;
    while let Some(found) = BEGINNINGS.find(Input::new(bytes).span(from..bytes.len())) {
        let Format(_, rest) = &FORMATS[found.pattern().as_usize()];
        if rest.follows(bytes, found.start(), found.end()) {
            return true;
        }
        from = found.start() + 1;
    }
    false
}

impl Rest {
    /// Whether it follows a beginning that was found from `start` to `end`.
    fn follows(&self, bytes: &[u8], start: usize, end: usize) -> bool {
        let after = &bytes[end..];
        let stands_alone = || !matches!(bytes[..start].last(), Some(byte) if is_word(*byte, b"_"));
        match self {
            Self::Nothing => true,
            Self::KeyLine => {
                let line = &after[..after.len().min(KEY_LINE)];
                line.windows(11).any(|window| window == b"PRIVATE KEY")
            }
            Self::Word(least, marks) => {
                let word = &after[..length(after, marks)];
                stands_alone() && word.len() >= *least && is_random(word)
            }
            Self::Capitals(count) => {
                let word = &after[..length(after, b"_")];
                let is_capital = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
                let is_example = word.ends_with(b"EXAMPLE");
                stands_alone() && word.len() == *count && word.iter().all(is_capital) && !is_example
            }
            Self::TwoParts => {
                let head = length(after, URL);
                let body = after.get(head + 1..).unwrap_or_default();
                let dots = after.get(head) == Some(&b'.') && head >= 10;
                let length = length(body, URL);
                stands_alone() && dots && length >= 10 && body.get(length) == Some(&b'.')
            }
        }
    }
}

/// How many letters, digits and marks the bytes begin with.
fn length(bytes: &[u8], marks: &[u8]) -> usize {
    let is_over = |byte: &u8| !is_word(*byte, marks);
    bytes.iter().position(is_over).unwrap_or(bytes.len())
}

fn is_word(byte: u8, marks: &[u8]) -> bool {
    byte.is_ascii_alphanumeric() || marks.contains(&byte)
}

/// Whether it can be a real one, rather than `xxxx…` in an example or a long name in words.
fn is_random(word: &[u8]) -> bool {
    let mut seen = [false; 256];
    for byte in word {
        seen[usize::from(*byte)] = true;
    }
    let kinds = seen.iter().filter(|seen| **seen).count();
    kinds >= 8 && word.iter().any(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Letters and digits that no real service gave out.
    fn noise(length: usize) -> String {
        let hex = blake3::hash(b"noise").to_hex().repeat(4);
        hex[..length].to_owned()
    }

    #[test]
    fn private_keys_of_all_programs_and_passwords_are_secrets() {
        for key in [
            "-----BEGIN PRIVATE KEY-----\nMII",
            "# mine\n-----BEGIN OPENSSH PRIVATE KEY-----\n",
            "-----BEGIN CERTIFICATE-----\nx\n-----BEGIN RSA PRIVATE KEY-----\n",
            "{\"private_key\": \"-----BEGIN PRIVATE KEY-----\\nMII\"}",
            "-----BEGIN PGP PRIVATE KEY BLOCK-----",
            "client-key-data: LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0tLQpNSUl",
            "AGE-SECRET-KEY-1QQQ",
            "PuTTY-User-Key-File-3: ssh-ed25519",
            "[Interface]\nPrivateKey = x",
            "root:$y$j9T$abc:19000:0:99999:7:::",
            "web:$apr1$abc$def",
            "web:{SHA}2jmj7l5rSw0yVb/vlWAYkK/YBwk=",
        ] {
            assert!(is_in(key.as_bytes()), "{key}");
        }
    }

    #[test]
    fn tokens_of_known_formats_are_secrets_wherever_they_stand() {
        let tokens = [
            format!("AKIA{}", &noise(16).to_uppercase()),
            format!("ghp_{}", noise(36)),
            format!("github_pat_{}_{}", noise(22), noise(59)),
            format!("glpat-{}", noise(20)),
            format!("xoxb-123456789012-123456789012-{}", noise(24)),
            format!("https://hooks.slack.com/services/T0123/B0123/{}", noise(24)),
            format!("eyJ{}.eyJ{}.{}", noise(20), noise(30), noise(43)),
            format!("AIza{}", noise(35)),
            format!("hvs.{}", noise(24)),
            format!("sk_live_{}", noise(24)),
            format!("npm_{}", noise(36)),
            format!("SG.{}.{}", noise(22), noise(43)),
        ];
        for token in tokens {
            for text in [
                token.clone(),
                format!("token={token}\n"),
                format!("{{\"key\": \"{token}\"}}"),
                format!("export X='{token}'; run"),
                format!("ghp_ eyJ AKIA {token}"),
            ] {
                assert!(is_in(text.as_bytes()), "{text}");
            }
        }
    }

    #[test]
    fn what_anyone_may_see_is_no_secret() {
        for text in [
            "",
            "-----BEGIN CERTIFICATE-----\nMII",
            "-----BEGIN PUBLIC KEY-----",
            "ssh-ed25519 AAAA alice@web-1",
            "-----BEGIN CERTIFICATE-----\nMIIabcdefghijklmnopqrstuvwxyzabcdefghij PRIVATE KEY",
            "certificate-authority-data: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t",
            "aws_access_key_id = AKIAIOSFODNN7EXAMPLE",
            "AKIA is how they begin; AKIA0123456789ABCDEFG is too long",
            "token = ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            "glpat-your-token-goes-in-this-place",
            "the file eyJ.x.y and eyJhbGciOiJIUzI1NiJ9 alone",
            "task-ant-0123456789abcdef0123456789abcdef",
            "npm_config_registry=https://example.org",
            "pass = {SHA} of it",
            "SG.a.b MSG.0123456789",
        ] {
            assert!(!is_in(text.as_bytes()), "{text}");
        }
    }
}
