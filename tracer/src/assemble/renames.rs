//! Names that move: saves by rename, files put aside, swaps.

use change::{Text, Timestamp};

use super::pending::{Came, Pending, State};
use super::{Assembler, Seen};
use crate::observed::Name;

/// What a rename did to names.
pub(super) struct Moved {
    pub(super) from: Name,
    pub(super) into_watched: bool,
    pub(super) replaced: bool,
}

impl Assembler {
    /// A file that was put aside is removed again. What it was put aside from is either there anew,
    /// which is told, or it is gone with it.
    pub(super) fn drop_put_aside(&mut self, path: &Text, seen: &Seen<'_>) {
        let Some(Pending {
            came: Came::Renamed { from, .. },
            ..
        }) = self.pending.remove(path)
        else {
            return;
        };
        if self.pending.get(&from).is_some_and(Pending::is_gone) {
            self.begin(Pending::gone(from, State::Deleted, seen));
        }
    }

    pub(super) fn rename(&mut self, to: Text, moved: Moved, seen: &Seen<'_>) {
        let Moved {
            from,
            into_watched,
            mut replaced,
        } = moved;
        if let Some(pending) = self.pending.get(&to) {
            if pending.is_gone() && pending.is_by(seen.who) {
                replaced = true;
                self.pending.remove(&to);
            } else {
                self.supersede(&to, seen);
            }
        }
        if seen.is_directory() && from.watched {
            self.take_along(&from.path, into_watched.then_some(&to));
        }
        let source = self.pending.remove(&from.path);
        if let Some(source) = source {
            if into_watched && source.can_settle(&to) {
                self.settle(to, source, replaced, seen);
                return;
            }
            // What had the name is what gets it back.
            replaced &= !source.came_from(&to);
            self.finish_pending(source);
        }
        let was_watched = from.watched;
        let came = match (replaced, was_watched) {
            (true, false) => Came::Replaced,
            _ => Came::Renamed {
                from: from.path.clone(),
                into_watched,
                replaced,
                exchanged: false,
            },
        };
        let mut pending = Pending::new(to.clone(), came, seen);
        pending.open = false;
        self.begin(pending);
        if was_watched {
            self.begin(Pending::gone(from.path, State::MovedTo(to.clone()), seen));
        }
        if into_watched {
            self.touched.push(to);
        }
    }

    /// What happened below a directory until it got another name is told, and to be read where it is now.
    fn take_along(&mut self, from: &Text, to: Option<&Text>) {
        let below = self.pending.iter_mut().filter_map(|(path, pending)| {
            let rest = path.as_bytes().strip_prefix(from.as_bytes())?;
            let rest = rest.starts_with(b"/").then_some(rest)?;
            pending.place = to.map(|to| [to.as_bytes(), rest].concat().into());
            Some((pending.last, path.clone()))
        });
        let mut below: Vec<(Timestamp, Text)> = below.collect();
        below.sort_unstable();
        for (_, path) in below {
            self.finish(&path);
        }
    }

    /// A file that was made under another name gets its true name: the change is that of the
    /// name it has from now on.
    pub(super) fn settle(&mut self, to: Text, source: Pending, replaced: bool, seen: &Seen<'_>) {
        let came = match (replaced, source.came) {
            (
                true,
                Came::Renamed {
                    from, into_watched, ..
                },
            ) => Came::Renamed {
                from,
                into_watched,
                replaced: true,
                exchanged: false,
            },
            (true, _) => Came::Replaced,
            (false, Came::Replaced) => Came::Created,
            (false, came) => came,
        };
        let mut pending = Pending::new(to.clone(), came, seen);
        pending.operations = source.operations;
        pending.open = false;
        self.begin(pending);
        self.touched.push(to);
    }

    /// The old name has a file of another kind from now on.
    pub(super) fn leave_whiteout(&mut self, to: Text, moved: Moved, seen: &Seen<'_>) {
        let Name { path, watched } = moved.from.clone();
        self.rename(to, moved, seen);
        if watched {
            // The rename comes first, which takes away what is known of the name.
            let then = Seen {
                time: seen.time.plus_nanos(1),
                inode: None,
                description: None,
                ..*seen
            };
            self.begin(Pending::new(path.clone(), Came::Created, &then));
            self.touched.push(path);
        }
    }

    pub(super) fn exchange(&mut self, path: Text, moved: Moved, seen: &Seen<'_>) {
        let Moved {
            from, into_watched, ..
        } = moved;
        if seen.is_directory() {
            self.take_along(&path, from.watched.then_some(&from.path));
            if from.watched {
                self.take_along(&from.path, into_watched.then_some(&path));
            }
        }
        self.finish(&path);
        self.finish(&from.path);
        // The kernel tells of one of the two files.
        let other = Seen {
            inode: None,
            ..*seen
        };
        let ends = [
            (path.clone(), from.path.clone(), into_watched, seen),
            (from.path, path, from.watched, &other),
        ];
        for (now, before, watched, seen) in ends {
            if watched {
                let came = Came::Renamed {
                    from: before,
                    into_watched: true,
                    replaced: true,
                    exchanged: true,
                };
                self.begin(Pending::new(now.clone(), came, seen));
                self.touched.push(now);
            }
        }
    }
}
