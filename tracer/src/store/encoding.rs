//! Canonical bytes of a change and of an actor: what the hash chain covers. Never stored itself.
//! Ids of rows are not part of it, so a store can be copied row by row and still verify.

use change::{
    Actor, Ancestor, Certainty, Change, Container, FactValue, FileState, Process, RenamedFrom,
    Session, User,
};

use super::contents::parse_name;

/// Counts up when the encoding of an old row would become different, which no row may.
/// A new field is written only where it is set: then it needs no new version.
const VERSION: u8 = 1;

/// Writes bytes such that no two different changes give the same.
#[derive(Default)]
pub(super) struct Encoding(Vec<u8>);

impl Encoding {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Begins anew in the same memory.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Adds a change; its actor by the hash of the actor's own encoding.
    pub(super) fn change(&mut self, change: &Change, actor: Option<&[u8; 32]>) {
        let Change {
            host,
            hostname,
            seq,
            time,
            subject,
            op,
            from,
            before,
            after,
            certainty,
            between,
            run,
            operations,
            notes,
            package,
            actor: _,
        } = change;
        self.0.push(VERSION);
        self.text(host.as_bytes());
        self.text(hostname.as_bytes());
        self.number(*seq);
        self.fixed(time.as_nanos());
        self.text(subject.kind.as_str().as_bytes());
        self.text(subject.key.as_bytes());
        self.text(op.as_str().as_bytes());
        self.option(from.as_ref(), |this, RenamedFrom(from)| {
            this.text(from.as_bytes());
        });
        self.option(before.as_ref(), Self::value);
        self.option(after.as_ref(), Self::value);
        self.0.push(u8::from(*certainty == Certainty::Late));
        self.option(between.as_ref(), |this, [from, to]| {
            this.fixed(from.as_nanos());
            this.fixed(to.as_nanos());
        });
        self.option(run.as_ref(), |this, run| this.number(*run));
        self.number(*operations);
        self.list(notes, |this, note| this.text(note.as_str().as_bytes()));
        self.option(actor, |this, hash| this.0.extend_from_slice(hash));
        // Rows from before there were packages have the hash that they had.
        if let Some(package) = package {
            self.text(package.as_bytes());
        }
    }

    /// Adds an actor.
    pub(super) fn actor(&mut self, actor: &Actor) {
        let Actor {
            user,
            login_user,
            process,
            ancestry,
            session,
            unit,
            container,
            // Follows from the rest.
            by: _,
        } = actor;
        self.0.push(VERSION);
        self.user(user);
        self.option(login_user.as_ref(), Self::user);
        self.process(process);
        self.list(ancestry, |this, Ancestor { pid, exe, argv }| {
            this.number(u64::from(*pid));
            this.optional_text(exe.as_deref());
            this.list(argv, |this, word| this.text(word.as_bytes()));
        });
        self.option(session.as_ref(), |this, session| {
            let Session {
                id,
                kind,
                tty,
                remote,
            } = session;
            this.number(u64::from(*id));
            this.text(kind.as_str().as_bytes());
            this.optional_text(tty.as_deref());
            this.optional_text(remote.as_deref());
        });
        self.optional_text(unit.as_deref());
        self.option(container.as_ref(), |this, Container { id, runtime }| {
            this.text(id.as_bytes());
            this.text(runtime.as_bytes());
        });
    }

    fn user(&mut self, User { uid, name }: &User) {
        self.number(u64::from(*uid));
        self.optional_text(name.as_deref());
    }

    fn process(&mut self, process: &Process) {
        let Process {
            pid,
            start,
            exe,
            argv,
            argv_truncated,
            cwd,
        } = process;
        self.number(u64::from(*pid));
        self.fixed(start.as_nanos());
        self.optional_text(exe.as_deref());
        self.list(argv, |this, word| this.text(word.as_bytes()));
        self.0.push(u8::from(*argv_truncated));
        self.optional_text(cwd.as_deref());
    }

    fn value(&mut self, value: &FactValue) {
        match value {
            FactValue::File(state) => {
                self.0.push(0);
                self.file(state);
            }
            FactValue::Setting { value } => {
                self.0.push(1);
                self.text(value.as_bytes());
            }
            FactValue::Attributes(attributes) => {
                self.0.push(2);
                self.number(attributes.len() as u64);
                for (name, value) in attributes {
                    self.text(name.as_bytes());
                    self.text(value.as_bytes());
                }
            }
        }
    }

    fn file(&mut self, state: &FileState) {
        let FileState {
            hash,
            size,
            mode,
            uid,
            gid,
            file_type,
            content,
            target,
            inode,
            xattrs,
        } = state;
        match hash.as_deref().map(|name| (name, parse_name(name))) {
            None => self.0.push(0),
            Some((_, Some((keyed, hash)))) => {
                self.0.push(if keyed { 2 } else { 1 });
                self.0.extend_from_slice(&hash);
            }
            Some((name, None)) => {
                self.0.push(3);
                self.text(name.as_bytes());
            }
        }
        self.number(*size);
        self.text(mode.as_bytes());
        self.number(u64::from(*uid));
        self.number(u64::from(*gid));
        self.text(file_type.as_str().as_bytes());
        self.text(content.as_str().as_bytes());
        self.optional_text(target.as_deref());
        self.number(*inode);
        self.number(xattrs.len() as u64);
        for (name, value) in xattrs {
            self.text(name.as_bytes());
            self.text(value.as_bytes());
        }
    }

    /// Adds a number in groups of seven bits, lowest first, the last without the high bit.
    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        self.0.push((number & 0x7f) as u8);
    }

    fn fixed(&mut self, number: i64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn text(&mut self, text: &[u8]) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text);
    }

    fn optional_text(&mut self, text: Option<&str>) {
        self.option(text, |this, text| this.text(text.as_bytes()));
    }

    fn option<T>(&mut self, value: Option<T>, add: impl FnOnce(&mut Self, T)) {
        self.0.push(u8::from(value.is_some()));
        if let Some(value) = value {
            add(self, value);
        }
    }

    fn list<T>(&mut self, items: &[T], mut add: impl FnMut(&mut Self, &T)) {
        self.number(items.len() as u64);
        for item in items {
            add(self, item);
        }
    }
}
