//! Asking a daemon over its socket, for tests that ask so often that starting the command line each
//! time would take most of their time under emulation. Hosts and stories ask by the command line.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;

/// Gives the answer to a question, or what went wrong.
pub(crate) fn get(socket: &Path, target: &str) -> Result<Value, String> {
    let answer = exchange(socket, target).map_err(|error| format!("{target}: {error}"))?;
    let text = String::from_utf8_lossy(&answer);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    if !head.starts_with("HTTP/1.1 200") {
        return Err(format!("{target}: {text}"));
    }
    serde_json::from_str(body).map_err(|error| format!("{target}: {error}: {body}"))
}

/// All items of a listing, page by page.
pub(crate) fn all(socket: &Path, target: &str, most: usize) -> Result<Vec<Value>, String> {
    let mut items = Vec::new();
    let mut cursor = String::new();
    loop {
        let mut page = get(socket, &format!("{target}{cursor}"))?;
        if let Some(found) = page["items"].as_array_mut() {
            items.append(found);
        }
        match page["next"].as_str() {
            Some(next) if items.len() < most => cursor = format!("&cursor={next}"),
            _ => return Ok(items),
        }
    }
}

/// A path as it may stand in a query.
pub(crate) fn encoded(path: &Path) -> String {
    let mut text = String::new();
    for byte in path.as_os_str().as_bytes() {
        write!(text, "%{byte:02X}").expect("writing to a string cannot fail");
    }
    text
}

fn exchange(socket: &Path, target: &str) -> std::io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(socket)?;
    write!(
        stream,
        "GET {target} HTTP/1.1\r\nHost: tracer\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}
