//! Messages of D-Bus (<https://dbus.freedesktop.org/doc/dbus-specification.html>), as far as the system bus is listened to:
//! what a library would read as a whole, up to 128 MiB that anybody may send, is cut here.

/// The size of what every message begins with.
pub(super) const HEAD_BYTES: usize = 16;

/// No message is longer, by the specification.
const MAX_BYTES: u64 = 128 << 20;

/// The version of the protocol.
const VERSION: u8 = 1;

/// Says what a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Call,
    Reply,
    Error,
    /// A signal, or what is not known.
    Other,
}

/// The numbers that a message begins with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    is_big_endian: bool,
    kind: Kind,
    flags: u8,
    serial: u32,
    fields_len: u32,
    body_len: u32,
}

impl Head {
    /// Reads them; none where this is no message.
    pub(super) fn decode(bytes: &[u8; HEAD_BYTES]) -> Option<Self> {
        let [endian, kind, flags, version, ..] = *bytes;
        let is_big_endian = endian == b'B';
        if !(is_big_endian || endian == b'l') || version != VERSION {
            return None;
        }
        let mut rest = Reader {
            bytes,
            at: 4,
            is_big_endian,
        };
        let (body_len, serial, fields_len) = (rest.number()?, rest.number()?, rest.number()?);
        let head = Self {
            is_big_endian,
            kind: match kind {
                1 => Kind::Call,
                2 => Kind::Reply,
                3 => Kind::Error,
                _ => Kind::Other,
            },
            flags,
            serial,
            fields_len,
            body_len,
        };
        (head.rest_len() <= MAX_BYTES).then_some(head)
    }

    /// How many bytes follow.
    pub(super) fn rest_len(&self) -> u64 {
        u64::from(self.fields_len).next_multiple_of(8) + u64::from(self.body_len)
    }
}

/// A message as far as it was read.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) kind: Kind,
    pub(super) serial: u32,
    pub(super) wants_reply: bool,
    pub(super) path: String,
    pub(super) interface: String,
    pub(super) member: String,
    pub(super) reply_to: Option<u32>,
    pub(super) destination: String,
    pub(super) sender: String,
    pub(super) signature: String,
    is_big_endian: bool,
    body: Vec<u8>,
}

impl Message {
    /// Reads what follows a head, which may be cut.
    pub(super) fn decode(head: &Head, rest: &[u8]) -> Option<Self> {
        let fields_len = usize::try_from(head.fields_len).ok()?;
        let body = rest.get(fields_len.next_multiple_of(8)..)?;
        let mut message = Self {
            kind: head.kind,
            serial: head.serial,
            wants_reply: head.flags & 1 == 0,
            path: String::new(),
            interface: String::new(),
            member: String::new(),
            reply_to: None,
            destination: String::new(),
            sender: String::new(),
            signature: String::new(),
            is_big_endian: head.is_big_endian,
            body: body.to_vec(),
        };
        let mut fields = Reader {
            bytes: rest.get(..fields_len)?,
            at: 0,
            is_big_endian: head.is_big_endian,
        };
        while fields.at < fields_len {
            message.take_field(&mut fields)?;
        }
        Some(message)
    }

    fn take_field(&mut self, fields: &mut Reader<'_>) -> Option<()> {
        fields.align(8)?;
        let code = fields.byte()?;
        match fields.signature()?.as_str() {
            "u" => {
                let number = fields.number()?;
                if code == 5 {
                    self.reply_to = Some(number);
                }
            }
            "g" => {
                let signature = fields.signature()?;
                if code == 8 {
                    self.signature = signature;
                }
            }
            "s" | "o" => {
                let text = fields.text()?;
                match code {
                    1 => self.path = text,
                    2 => self.interface = text,
                    3 => self.member = text,
                    6 => self.destination = text,
                    7 => self.sender = text,
                    _ => {}
                }
            }
            // There are no fields of other types.
            _ => return None,
        }
        Some(())
    }

    /// Reads the body from its beginning, as the signature has it.
    pub(super) fn body(&self) -> Reader<'_> {
        Reader {
            bytes: &self.body,
            at: 0,
            is_big_endian: self.is_big_endian,
        }
    }
}

/// Takes values out of bytes, one after the other; none where they are not there.
#[derive(Clone, Debug)]
pub(super) struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
    is_big_endian: bool,
}

impl<'b> Reader<'b> {
    fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let end = self.at.checked_add(count)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn align(&mut self, to: usize) -> Option<()> {
        let at = self.at.next_multiple_of(to);
        (at <= self.bytes.len()).then(|| self.at = at)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    pub(super) fn number(&mut self) -> Option<u32> {
        self.align(4)?;
        let bytes = *self.take(4)?.first_chunk()?;
        Some(if self.is_big_endian {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        })
    }

    /// A text or the path of an object.
    pub(super) fn text(&mut self) -> Option<String> {
        let count = usize::try_from(self.number()?).ok()?;
        self.ended(count)
    }

    fn signature(&mut self) -> Option<String> {
        let count = usize::from(self.byte()?);
        self.ended(count)
    }

    /// So many bytes of text, and the zero behind them.
    fn ended(&mut self, count: usize) -> Option<String> {
        let text = str::from_utf8(self.take(count)?).ok()?.to_owned();
        (self.byte()? == 0).then_some(text)
    }

    /// The elements of an array of texts.
    pub(super) fn texts(&mut self) -> Option<Vec<String>> {
        self.array(4, Self::text)
    }

    /// The elements of an array, each aligned like this.
    pub(super) fn array<T>(
        &mut self,
        alignment: usize,
        mut element: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        let count = usize::try_from(self.number()?).ok()?;
        self.align(alignment)?;
        let end = self.at.checked_add(count)?;
        let mut elements = Vec::new();
        while self.at < end {
            self.align(alignment)?;
            elements.push(element(self)?);
        }
        (self.at == end).then_some(elements)
    }
}

/// An argument of a call.
#[derive(Clone, Copy, Debug)]
pub(super) enum Argument<'a> {
    Number(u32),
    Text(&'a str),
    Texts(&'a [&'a str]),
}

/// Where a call goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub(super) destination: &'static str,
    pub(super) path: &'static str,
    pub(super) interface: &'static str,
}

/// The bytes of a call.
pub(super) fn call(
    serial: u32,
    target: Target,
    member: &str,
    arguments: &[Argument<'_>],
) -> Vec<u8> {
    let mut body = Writer::default();
    let mut signature = String::new();
    for argument in arguments {
        signature.push_str(match argument {
            Argument::Number(_) => "u",
            Argument::Text(_) => "s",
            Argument::Texts(_) => "as",
        });
        body.argument(*argument);
    }
    let mut fields = Writer::default();
    fields.field(1, "o", target.path);
    fields.field(2, "s", target.interface);
    fields.field(3, "s", member);
    fields.field(6, "s", target.destination);
    if !signature.is_empty() {
        fields.field(8, "g", &signature);
    }
    let mut message = Writer(vec![b'l', 1, 0, VERSION]);
    for number in [len(&body.0), serial, len(&fields.0)] {
        message.number(number);
    }
    message.0.extend(fields.0);
    message.align(8);
    message.0.extend(body.0);
    message.0
}

/// Puts values behind each other.
#[derive(Debug, Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    fn number(&mut self, number: u32) {
        self.align(4);
        self.0.extend(number.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(len(text.as_bytes()));
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    fn signature(&mut self, signature: &str) {
        self.0.extend(u8::try_from(signature.len()));
        self.0.extend(signature.as_bytes());
        self.0.push(0);
    }

    fn field(&mut self, code: u8, kind: &str, value: &str) {
        self.align(8);
        self.0.push(code);
        self.signature(kind);
        match kind {
            "g" => self.signature(value),
            _ => self.text(value),
        }
    }

    fn argument(&mut self, argument: Argument<'_>) {
        match argument {
            Argument::Number(number) => self.number(number),
            Argument::Text(text) => self.text(text),
            Argument::Texts(texts) => {
                let mut inner = Self::default();
                for text in texts {
                    inner.text(text);
                }
                // Behind the length, a text is aligned as it was.
                self.number(len(&inner.0));
                self.0.extend(inner.0);
            }
        }
    }
}

/// What is sent is short.
fn len(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}
