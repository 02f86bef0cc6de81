//! The file that a module came from: where it lies, its hash, and who signed it. What the kernel has taken in cannot be
//! read back, so this is the file as it was read when the module was found loaded, and is kept as long as that one is.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use change::{FactValue, Text};
use flate2::bufread::MultiGzDecoder;
use liblzma::bufread::XzDecoder;
use liblzma::stream as xz;

use crate::bounded;
use crate::inventory::Facts;

/// The names of values.
pub(super) const HASH: &str = "hash";
const FILE: &str = "file";
const SIGNATURE: &str = "signature";

/// Stands for the signature of a file that has none, and of one that does not say whose it is.
const NONE: &str = "none";
const UNNAMED: &str = "unnamed";

/// No module is as large, packed or not, and no list of them.
const MAX_BYTES: u64 = 64 << 20;
const MAX_LIST_BYTES: u64 = 4 << 20;

/// How much memory unpacking `.xz` may take: enough for what the kernel's build and `xz` by default pack.
const MAX_XZ_BYTES: u64 = 16 << 20;

/// How much of a file's end is looked into for a signature.
const TAIL_BYTES: usize = 16 << 10;

/// Ends a file that is signed (<https://github.com/torvalds/linux/blob/v6.12/include/linux/module_signature.h>); before
/// it is the length of the signature in four bytes, the last of twelve.
const MARKER: &[u8] = b"~Module signature appended~\n";
const DESCRIPTION_BYTES: usize = 12;

/// The object identifier of a common name (X.520, 2.5.4.3) as it is encoded, before the type of text and its length.
const COMMON_NAME: &[u8] = &[0x06, 0x03, 0x55, 0x04, 0x03];

/// Puts to each module what is known of its file: of one that has just been loaded from a file as it is now, of one that
/// is the same as before what was known of it, and of any other by the list of the kernel's own modules (`modules.dep`).
pub(in crate::inventory) fn add(
    found: &mut Facts,
    believed: &Facts,
    loaded: &BTreeMap<Text, Option<Text>>,
    folder: &Path,
) {
    let mut own = None;
    for (name, value) in found {
        let before = believed.get(name).filter(|_| !loaded.contains_key(name));
        let before = before.filter(|before| super::is_same_build(before, value));
        let FactValue::Attributes(attributes) = value else {
            continue;
        };
        if let Some(hash) = before.and_then(|before| before.attribute(HASH)) {
            attributes.insert(HASH.to_owned(), hash.to_owned());
            for kept in [FILE, SIGNATURE] {
                let value = before.and_then(|before| before.attribute(kept));
                attributes.extend(value.map(|value| (kept.to_owned(), value.to_owned())));
            }
            continue;
        }
        let opened = loaded.get(name).and_then(Option::as_ref);
        let opened = opened.and_then(|path| path.as_utf8()).map(PathBuf::from);
        let own = own.get_or_insert_with(|| of_kernel(folder));
        if let Some(path) = opened.or_else(|| own.get(name).cloned()) {
            attributes.extend(describe(&path));
        }
    }
}

/// The name of the module that a file holds.
pub fn name_of(path: &str) -> Option<Text> {
    let name = path.rsplit('/').next()?;
    let (stem, _) = name.split_once(".ko").unwrap_or((name, ""));
    (!stem.is_empty()).then(|| stem.replace('-', "_").as_str().into())
}

/// The kernel's own modules, each with its file, by `modules.dep` in its folder: `FILE: FILES that it needs`.
fn of_kernel(folder: &Path) -> HashMap<Text, PathBuf> {
    let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let list = bounded::read_text(&folder.join("modules.dep"), MAX_LIST_BYTES).unwrap_or_default();
    let files = list
        .lines()
        .filter_map(|line| Some(line.split_once(':')?.0));
    files
        .filter_map(|file| Some((name_of(file)?, folder.join(file))))
        .collect()
}

/// What is known of a file: nothing of one that is not there any more.
fn describe(path: &Path) -> BTreeMap<String, String> {
    let mut attributes = BTreeMap::new();
    let Ok(seen) = read(path) else {
        return attributes;
    };
    attributes.insert(FILE.to_owned(), path.display().to_string());
    attributes.insert(HASH.to_owned(), format!("b3:{}", seen.hash.to_hex()));
    let signature = match path.extension().and_then(OsStr::to_str) {
        Some("ko") => Some(signature(&seen.tail)),
        Some(packing) => unpacked(path, packing).ok().map(|tail| signature(&tail)),
        None => None,
    };
    attributes.extend(signature.map(|whose| (SIGNATURE.to_owned(), whose)));
    attributes
}

/// A file as it was read.
struct Seen {
    hash: blake3::Hash,
    tail: Vec<u8>,
}

fn read(path: &Path) -> io::Result<Seen> {
    let file = bounded::open(path).ok_or(io::ErrorKind::NotFound)?;
    let found = file.metadata()?;
    if !found.is_file() || found.len() > MAX_BYTES {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut hasher = blake3::Hasher::new();
    let tail = tail_of(file, |bytes| {
        hasher.update(bytes);
    })?;
    let hash = hasher.finalize();
    Ok(Seen { hash, tail })
}

/// The end of a packed file, by the ways of packing that the kernel's build knows.
fn unpacked(path: &Path, packing: &str) -> io::Result<Vec<u8>> {
    let file = bounded::open(path).ok_or(io::ErrorKind::NotFound)?;
    match packing {
        "zst" => tail_of(zstd::stream::read::Decoder::new(file)?, |_| {}),
        "xz" => {
            let stream = xz::Stream::new_stream_decoder(MAX_XZ_BYTES, xz::CONCATENATED)?;
            tail_of(XzDecoder::new_stream(BufReader::new(file), stream), |_| {})
        }
        "gz" => tail_of(MultiGzDecoder::new(BufReader::new(file)), |_| {}),
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// Reads to the end, but not for ever, and gives what is there.
fn tail_of(from: impl Read, mut each: impl FnMut(&[u8])) -> io::Result<Vec<u8>> {
    let mut from = from.take(MAX_BYTES);
    let mut buffer = vec![0; 4 * TAIL_BYTES];
    let mut tail = Vec::new();
    loop {
        let bytes = match from.read(&mut buffer) {
            Ok(0) => return Ok(tail),
            Ok(count) => buffer.get(..count).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        each(bytes);
        tail.extend_from_slice(bytes);
        tail.drain(..tail.len().saturating_sub(TAIL_BYTES));
    }
}

/// Whose signature a file ends in. The kernel's tool puts no certificates into it (`scripts/sign-file.c`), so that the
/// one name in it is that of who signed.
fn signature(tail: &[u8]) -> String {
    let Some(before) = tail.strip_suffix(MARKER) else {
        return NONE.to_owned();
    };
    let signer = || {
        let end = before.len().checked_sub(DESCRIPTION_BYTES)?;
        let (before, description) = before.split_at_checked(end)?;
        let length = u32::from_be_bytes(*description.last_chunk()?);
        let start = before.len().checked_sub(usize::try_from(length).ok()?)?;
        common_name(before.get(start..)?)
    };
    signer().unwrap_or_else(|| UNNAMED.to_owned())
}

fn common_name(signature: &[u8]) -> Option<String> {
    let places = signature.windows(COMMON_NAME.len());
    let place = places.into_iter().position(|bytes| bytes == COMMON_NAME)?;
    let (_kind, rest) = signature.get(place + COMMON_NAME.len()..)?.split_first()?;
    let (length, rest) = rest.split_first()?;
    let name = str::from_utf8(rest.get(..usize::from(*length))?).ok()?;
    // Longer ones have their length in more than one byte.
    (*length < 0x80 && !name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::write::GzEncoder;

    use super::*;

    fn signed(name: &str) -> Vec<u8> {
        let length = u8::try_from(name.len()).unwrap();
        let signature = [b"\x30\x03", COMMON_NAME, &[0x0c, length], name.as_bytes()].concat();
        let length = u32::try_from(signature.len()).unwrap().to_be_bytes();
        let description = [[0, 0, 2, 0, 0, 0, 0, 0].as_slice(), &length].concat();
        [b"ELF".as_slice(), &signature, &description, MARKER].concat()
    }

    fn module(srcversion: &str) -> FactValue {
        let srcversion = ("srcversion".to_owned(), srcversion.to_owned());
        FactValue::Attributes([srcversion].into())
    }

    #[test]
    fn who_signed_is_read_from_the_end_of_a_file() {
        assert_eq!(
            signature(&signed("Debian Secure Boot CA")),
            "Debian Secure Boot CA"
        );
        assert_eq!(signature(b"ELF"), "none");
        assert_eq!(signature(MARKER), "unnamed");
        let too_long = [&[0, 0, 2, 0, 0, 0, 0, 0, 255, 0, 0, 0], MARKER].concat();
        assert_eq!(signature(&too_long), "unnamed");
        assert_eq!(signature(&signed("")), "unnamed");
    }

    #[test]
    fn the_file_is_that_of_the_kernel_or_the_one_that_was_opened() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let own = folder.join("nf-tables.ko");
        fs::write(&own, signed("Debian")).unwrap();
        fs::write(folder.join("modules.dep"), "nf-tables.ko: other.ko.xz\n").unwrap();
        let other = folder.join("other.ko");
        fs::write(&other, "ELF").unwrap();
        let file = |facts: &Facts| {
            let attribute = |name| {
                facts[&Text::from("nf_tables")]
                    .attribute(name)
                    .map(str::to_owned)
            };
            [FILE, HASH, SIGNATURE].map(attribute)
        };
        let found: Facts = [("nf_tables".into(), module("A"))].into();
        let mut first = found.clone();
        add(&mut first, &Facts::new(), &BTreeMap::new(), &folder);
        let [path, hash, whose] = file(&first);
        assert_eq!(path.as_deref(), own.to_str());
        assert_eq!(whose.as_deref(), Some("Debian"));
        // As it was loaded, whatever becomes of the file.
        fs::write(&own, "another").unwrap();
        let mut later = found.clone();
        add(&mut later, &first, &BTreeMap::new(), &folder);
        assert_eq!(later, first);
        let opened = Some(Text::from(other.to_str().unwrap()));
        let loaded = BTreeMap::from([("nf_tables".into(), opened)]);
        let mut again = found;
        add(&mut again, &first, &loaded, &folder);
        let [path, other_hash, whose] = file(&again);
        assert_eq!(path.as_deref(), other.to_str());
        assert_ne!(other_hash, hash);
        assert_eq!(whose.as_deref(), Some("none"));
    }

    #[test]
    fn what_is_packed_is_looked_into_where_it_can_be_unpacked() {
        let folder = tempfile::tempdir().unwrap();
        let whole = [vec![7; 3 * TAIL_BYTES], signed("Somebody")].concat();
        let mut gz = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(&whole).unwrap();
        for (packing, bytes) in [
            ("zst", zstd::encode_all(whole.as_slice(), 1).unwrap()),
            ("xz", liblzma::encode_all(whole.as_slice(), 6).unwrap()),
            ("gz", gz.finish().unwrap()),
        ] {
            let packed = folder.path().join(format!("a.ko.{packing}"));
            fs::write(&packed, &bytes).unwrap();
            assert_eq!(describe(&packed)[SIGNATURE], "Somebody", "{packing}");
            fs::write(&packed, &bytes[..bytes.len() / 2]).unwrap();
            assert!(!describe(&packed).contains_key(SIGNATURE), "{packing}");
        }
        // It would take 65 MiB of memory.
        let greedy = liblzma::encode_all(whole.as_slice(), 9).unwrap();
        let packed = folder.path().join("b.ko.xz");
        fs::write(&packed, greedy).unwrap();
        assert!(!describe(&packed).contains_key(SIGNATURE));
        assert_eq!(name_of("/lib/snd-pcm.ko.xz"), Some("snd_pcm".into()));
    }
}
