//! Reads server-sent events out of an answer's body.

use std::collections::VecDeque;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::{Error, broken};

/// One server-sent event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// What sort of event it is.
    pub name: String,
    /// What it carries.
    pub data: String,
    /// The id to resume behind, where it has one.
    pub id: Option<String>,
}

/// A body, and what of it was read and not yet taken.
pub(crate) struct Events {
    body: Incoming,
    lines: Lines,
}

impl Events {
    pub(crate) fn new(body: Incoming) -> Self {
        Self {
            body,
            lines: Lines::default(),
        }
    }

    /// The next event; none at the end of the stream.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>, Error> {
        loop {
            if let Some(event) = self.lines.complete.pop_front() {
                return Ok(Some(event));
            }
            let Some(frame) = self.body.frame().await else {
                return Ok(None);
            };
            if let Ok(chunk) = frame.map_err(broken)?.into_data() {
                self.lines.read(&chunk);
            }
        }
    }
}

#[derive(Default)]
struct Lines {
    partial: Vec<u8>,
    event: Event,
    complete: VecDeque<Event>,
}

impl Lines {
    fn read(&mut self, chunk: &[u8]) {
        for &byte in chunk {
            if byte == b'\n' {
                let line = std::mem::take(&mut self.partial);
                self.line(&String::from_utf8_lossy(&line));
            } else {
                self.partial.push(byte);
            }
        }
    }

    fn line(&mut self, line: &str) {
        let line = line.trim_end_matches('\r');
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.name),
            "id" => self.event.id = Some(value.to_owned()),
            "data" if self.event.data.is_empty() => value.clone_into(&mut self.event.data),
            "data" => self.event.data.extend(["\n", value]),
            "" if line.is_empty() && self.event != Event::default() => {
                self.complete.push_back(std::mem::take(&mut self.event));
            }
            // Comments, which begin with a colon, and fields that we do not know.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_wherever_the_chunks_end() {
        let text = ": alive\n\nid: 7\nevent: change\ndata: {\"é\":1}\n\nevent:lagged\r\ndata: a\ndata: b\n\nid: 8\n";
        let expected = [
            Event {
                name: "change".to_owned(),
                data: "{\"é\":1}".to_owned(),
                id: Some("7".to_owned()),
            },
            Event {
                name: "lagged".to_owned(),
                data: "a\nb".to_owned(),
                id: None,
            },
        ];
        for size in 1..text.len() {
            let mut lines = Lines::default();
            text.as_bytes()
                .chunks(size)
                .for_each(|chunk| lines.read(chunk));
            assert_eq!(lines.complete, expected);
        }
    }
}
