//! The cache: what was downloaded or built once, in a folder named after everything it was made
//! from.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::toolchain::cache_folder;

/// Returns the folder `KIND/NAME-HASH` of the cache, filled by `build` if it isn't there yet.
///
/// `made_from` must hold everything that shapes the content. An interrupted build leaves nothing
/// behind that a later one would take for complete.
pub(crate) fn entry(
    kind: &str,
    name: &str,
    made_from: &[&[u8]],
    build: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let complete = entry_in(&folder(kind)?, name, made_from, build);
    complete.with_context(|| format!("build {kind}"))
}

/// Returns the folder `NAME-HASH` of another folder, likewise.
pub(crate) fn entry_in(
    folder: &Path,
    name: &str,
    made_from: &[&[u8]],
    build: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let hash = &key(made_from)[..12];
    let complete = folder.join(format!("{name}-{hash}"));
    // Two xtasks at once build it once.
    let _lock = lock(&complete.with_file_name(format!(".{name}-{hash}.lock")))?;
    if complete.exists() {
        return Ok(complete);
    }
    let partial = complete.with_file_name(format!(".{name}-{hash}.partial"));
    if partial.exists() {
        fs::remove_dir_all(&partial).with_context(|| format!("remove `{}`", partial.display()))?;
    }
    fs::create_dir_all(&partial).with_context(|| format!("create `{}`", partial.display()))?;
    build(&partial).with_context(|| format!("build {name}"))?;
    fs::rename(&partial, &complete)
        .with_context(|| format!("rename to `{}`", complete.display()))?;
    Ok(complete)
}

/// Names what was made from exactly that.
pub(crate) fn key(made_from: &[&[u8]]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in made_from {
        hasher
            .update(&(part.len() as u64).to_le_bytes())
            .update(part);
    }
    hasher.finalize().to_string()
}

/// Waits until nobody else holds the lock; dropping the file lets go of it.
pub(crate) fn lock(path: &Path) -> Result<File> {
    let context = || format!("lock `{}`", path.display());
    let file = File::create(path).with_context(context)?;
    file.lock().with_context(context)?;
    Ok(file)
}

/// Returns the cache's folder for one kind of things.
pub(crate) fn folder(kind: &str) -> Result<PathBuf> {
    let folder = cache_folder().join(kind);
    fs::create_dir_all(&folder).with_context(|| format!("create `{}`", folder.display()))?;
    Ok(folder)
}
