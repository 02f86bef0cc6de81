//! Reads the kernel's type information (BTF): where a field lies, what a function takes and gives.
//!
//! Our own reader, because aya shows neither members nor prototypes, and the crate `btf` copies
//! every type with all it contains: on 6.12 that takes seconds and hundreds of megabytes, this a
//! few milliseconds and the file's own size. The format is documented in the kernel's
//! Documentation/bpf/btf.rst.

use std::collections::HashMap;
use std::path::Path;
use std::{fs, io};

/// Says why the type information cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("read `{path}`: {source}; the kernel needs CONFIG_DEBUG_INFO_BTF=y")]
    Read {
        /// The file.
        path: String,
        /// What went wrong.
        source: io::Error,
    },
    /// It is not what the format says.
    #[error("the kernel's type information is malformed: {0}")]
    Malformed(&'static str),
    /// It has no field of that name.
    #[error("this kernel has no field `{0}`")]
    NoField(String),
}

const KIND_INT: u32 = 1;
const KIND_PTR: u32 = 2;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_TYPEDEF: u32 = 8;
const KIND_VOLATILE: u32 = 9;
const KIND_CONST: u32 = 10;
const KIND_RESTRICT: u32 = 11;
const KIND_FUNC: u32 = 12;
const KIND_FUNC_PROTO: u32 = 13;
const KIND_VAR: u32 = 14;
const KIND_DATASEC: u32 = 15;
const KIND_DECL_TAG: u32 = 17;
const KIND_TYPE_TAG: u32 = 18;
const KIND_ENUM64: u32 = 19;

/// How deep members may nest before we believe in a loop.
const MAX_NESTING: u32 = 16;

/// The types of the running kernel.
pub struct Btf {
    bytes: Vec<u8>,
    strings: usize,
    /// Where each type lies, by its id; the first is `void`.
    types: Vec<u32>,
    structs: HashMap<u64, u32>,
    functions: HashMap<u64, u32>,
}

/// One type: its header's three words, and where what follows them lies.
#[derive(Clone, Copy)]
struct Type {
    name: u32,
    kind: u32,
    count: u32,
    bit_fields: bool,
    /// A size or another type's id, by the kind.
    payload: u32,
    body: usize,
}

/// What a function takes and gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prototype {
    /// The parameters' names, in order.
    pub parameters: Vec<String>,
    /// Whether it returns a pointer.
    pub returns_pointer: bool,
}

impl Btf {
    /// Reads the type information of the running kernel.
    pub fn of_running_kernel() -> Result<Self, Error> {
        Self::read(Path::new("/sys/kernel/btf/vmlinux"))
    }

    /// Reads the types of a loaded module together with those of the kernel, which they go on from.
    pub fn of_module(name: &str) -> Result<Self, Error> {
        let folder = Path::new("/sys/kernel/btf");
        let (kernel, module) = (
            bytes_of(&folder.join("vmlinux"))?,
            bytes_of(&folder.join(name))?,
        );
        let joined = join(&kernel, &module);
        Self::parse(joined.ok_or(Error::Malformed("a module's part of it is cut short"))?)
    }

    fn read(path: &Path) -> Result<Self, Error> {
        Self::parse(bytes_of(path)?)
    }

    /// Reads type information in the raw format.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, Error> {
        if bytes.get(..2) != Some(&0xeb9f_u16.to_le_bytes()) {
            return Err(Error::Malformed("it does not begin with its magic number"));
        }
        let word = |at| word(&bytes, at).ok_or(Error::Malformed("its header is cut short"));
        let header_len = word(4)? as usize;
        let (types_start, types_len) = (header_len + word(8)? as usize, word(12)? as usize);
        let strings = header_len + word(16)? as usize;
        let mut btf = Self {
            strings,
            types: vec![u32::MAX],
            structs: HashMap::new(),
            functions: HashMap::new(),
            bytes,
        };
        btf.index(types_start, types_start + types_len)?;
        Ok(btf)
    }

    fn index(&mut self, start: usize, end: usize) -> Result<(), Error> {
        let mut at = start;
        while at < end {
            let found = self
                .type_at(at)
                .ok_or(Error::Malformed("a type is cut short"))?;
            let id = u32::try_from(self.types.len()).unwrap_or(u32::MAX);
            let names = match found.kind {
                KIND_STRUCT => Some(&mut self.structs),
                KIND_FUNC => Some(&mut self.functions),
                _ => None,
            };
            if let Some(names) = names {
                let name = name_at(&self.bytes, self.strings + found.name as usize);
                names.entry(hash(name)).or_insert(id);
            }
            self.types.push(u32::try_from(at).unwrap_or(u32::MAX));
            at = found.body + body_len(found)?;
        }
        Ok(())
    }

    fn type_at(&self, at: usize) -> Option<Type> {
        let info = word(&self.bytes, at + 4)?;
        Some(Type {
            name: word(&self.bytes, at)?,
            kind: info >> 24 & 0x1f,
            count: info & 0xffff,
            bit_fields: info >> 31 == 1,
            payload: word(&self.bytes, at + 8)?,
            body: at + 12,
        })
    }

    fn by_id(&self, id: u32) -> Option<Type> {
        let at = *self.types.get(id as usize)?;
        if at == u32::MAX {
            None
        } else {
            self.type_at(at as usize)
        }
    }

    fn name(&self, offset: u32) -> &[u8] {
        name_at(&self.bytes, self.strings + offset as usize)
    }

    /// The type without `typedef`, `const` and the like.
    fn plain(&self, id: u32) -> Option<Type> {
        let mut found = self.by_id(id)?;
        for _ in 0..MAX_NESTING {
            match found.kind {
                KIND_TYPEDEF | KIND_VOLATILE | KIND_CONST | KIND_RESTRICT | KIND_TYPE_TAG => {
                    found = self.by_id(found.payload)?;
                }
                _ => break,
            }
        }
        Some(found)
    }

    /// Finds the byte offset of `struct.member.member`, from the start of the struct; of the first
    /// that exists where there are alternatives, separated by `|`.
    pub fn offset(&self, path: &str) -> Result<u32, Error> {
        let found = path
            .split('|')
            .find_map(|alternative| self.offset_of(alternative));
        found.ok_or_else(|| Error::NoField(path.replace('|', "` or `")))
    }

    fn offset_of(&self, path: &str) -> Option<u32> {
        let mut segments = path.split('.');
        let start = *self.structs.get(&hash(segments.next()?.as_bytes()))?;
        let mut owner = self.by_id(start)?;
        let mut bits = 0;
        for segment in segments {
            let (member_bits, member_type) = self.member(owner, segment.as_bytes(), 0)?;
            bits += member_bits;
            // A pointer's target is not part of the struct; only a path's last member may be one.
            owner = self.plain(member_type)?;
        }
        Some(bits / 8)
    }

    /// The bit offset and type of a member, also one inside an unnamed struct or union.
    fn member(&self, owner: Type, name: &[u8], nesting: u32) -> Option<(u32, u32)> {
        if !matches!(owner.kind, KIND_STRUCT | KIND_UNION) || nesting > MAX_NESTING {
            return None;
        }
        (0..owner.count as usize).find_map(|index| {
            let at = owner.body + index * 12;
            let member_name = self.name(word(&self.bytes, at)?);
            let member_type = word(&self.bytes, at + 4)?;
            let place = word(&self.bytes, at + 8)?;
            let bits = if owner.bit_fields {
                place & 0x00ff_ffff
            } else {
                place
            };
            if member_name == name {
                return Some((bits, member_type));
            }
            let unnamed = member_name
                .is_empty()
                .then(|| self.plain(member_type))
                .flatten()?;
            let (inner, found) = self.member(unnamed, name, nesting + 1)?;
            Some((bits + inner, found))
        })
    }

    /// What a function takes and gives; none where the kernel has no such function.
    pub fn prototype(&self, function: &str) -> Option<Prototype> {
        let found = self.by_id(*self.functions.get(&hash(function.as_bytes()))?)?;
        let prototype = self.by_id(found.payload)?;
        let parameters = (0..prototype.count as usize)
            .filter_map(|index| word(&self.bytes, prototype.body + index * 8))
            .map(|name| String::from_utf8_lossy(self.name(name)).into_owned())
            .collect();
        let result = self.plain(prototype.payload);
        let returns_pointer = result.is_some_and(|result| result.kind == KIND_PTR);
        Some(Prototype {
            parameters,
            returns_pointer,
        })
    }

    /// Whether a program may call the helper of that name, like `get_current_task_btf`.
    pub fn has_helper(&self, name: &str) -> bool {
        let wanted = format!("BPF_FUNC_{name}");
        let is_list =
            |found: &Type| found.kind == KIND_ENUM && self.name(found.name) == b"bpf_func_id";
        let lists = self
            .types
            .iter()
            .skip(1)
            .filter_map(|at| self.type_at(*at as usize));
        lists.filter(is_list).any(|list| {
            (0..list.count as usize)
                .filter_map(|index| word(&self.bytes, list.body + index * 8))
                .any(|name| self.name(name) == wanted.as_bytes())
        })
    }
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| Error::Read {
        path: path.display().to_string(),
        source,
    })
}

/// Puts the types and the names of a module behind those of the kernel: its numbers of both count on
/// from there.
fn join(kernel: &[u8], module: &[u8]) -> Option<Vec<u8>> {
    let section = |bytes: &'_ [u8], at: usize| {
        let header_len = word(bytes, 4)? as usize;
        let start = header_len + word(bytes, at)? as usize;
        let end = start + word(bytes, at + 4)? as usize;
        bytes.get(start..end).map(<[u8]>::to_vec)
    };
    let types = [section(kernel, 8)?, section(module, 8)?].concat();
    let names = [section(kernel, 16)?, section(module, 16)?].concat();
    let header_len = 24_u32;
    let types_len = u32::try_from(types.len()).ok()?;
    let mut joined = kernel.get(..4)?.to_vec();
    for number in [
        header_len,
        0,
        types_len,
        types_len,
        u32::try_from(names.len()).ok()?,
    ] {
        joined.extend(number.to_le_bytes());
    }
    joined.extend(types);
    joined.extend(names);
    Some(joined)
}

fn body_len(found: Type) -> Result<usize, Error> {
    let count = found.count as usize;
    Ok(match found.kind {
        KIND_INT | KIND_VAR | KIND_DECL_TAG => 4,
        KIND_ARRAY => 12,
        KIND_STRUCT | KIND_UNION | KIND_DATASEC | KIND_ENUM64 => count * 12,
        KIND_ENUM | KIND_FUNC_PROTO => count * 8,
        0..=KIND_ENUM64 => 0,
        _ => {
            return Err(Error::Malformed(
                "it has a kind of type that is newer than this program",
            ));
        }
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..at + 4)?
        .try_into()
        .ok()
        .map(u32::from_le_bytes)
}

fn name_at(bytes: &[u8], at: usize) -> &[u8] {
    let rest = bytes.get(at..).unwrap_or_default();
    rest.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// FNV-1a; names are looked up by hash, so that the index borrows nothing from the bytes. Among
/// the names of a kernel (about 10^5) a collision in 64 bits is as likely as 1 in 10^9.
fn hash(name: &[u8]) -> u64 {
    name.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_functions_of_the_running_kernel_are_found() {
        let btf = Btf::of_running_kernel().unwrap();
        assert_eq!(btf.offset("path.dentry").unwrap(), 8);
        assert_eq!(
            btf.offset("qstr.len").unwrap(),
            4,
            "inside an unnamed union"
        );
        assert!(btf.offset("task_struct.tgid").unwrap() > btf.offset("task_struct.pid").unwrap());
        let open = btf.prototype("security_inode_create").unwrap();
        assert_eq!(open.parameters, ["dir", "dentry", "mode"]);
        assert!(!open.returns_pointer);
        assert!(btf.has_helper("ringbuf_output"));
    }

    #[test]
    fn what_this_kernel_lacks_is_named() {
        let btf = Btf::of_running_kernel().unwrap();
        let error = btf.offset("path.nothing|path.nowhere").unwrap_err();
        assert_eq!(
            error.to_string(),
            "this kernel has no field `path.nothing` or `path.nowhere`"
        );
        assert_eq!(btf.prototype("no_such_function"), None);
    }

    #[test]
    fn malformed_type_information_is_an_error_not_a_panic() {
        assert!(Btf::parse(Vec::new()).is_err());
        let mut bytes = fs::read("/sys/kernel/btf/vmlinux").unwrap();
        bytes.truncate(20_000);
        assert!(Btf::parse(bytes).is_err());
    }
}
