//! Files that are written for people: as a whole or not at all.
//!
//! In go a path and bytes. They are written beside the path, brought to the disk, and take its name only then: whoever
//! looks there sees what was there before or all that is new, however full the disk is.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// What becomes of a file that has the name already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Earlier {
    /// It stays, and the write fails with [`io::ErrorKind::AlreadyExists`]: it may be somebody's work.
    Stays,
    /// It goes.
    Goes,
}

/// Writes a file.
pub fn write(path: &Path, bytes: &[u8], earlier: Earlier) -> io::Result<()> {
    let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it names no file"))?;
    let is_taken = || earlier == Earlier::Stays && path.symlink_metadata().is_ok();
    if is_taken() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let beside = path.with_file_name(format!(".{}.{}.new", name.to_string_lossy(), std::process::id()));
    let write = || {
        let mut file = File::create_new(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        // Somebody may have been faster.
        if is_taken() { Err(io::ErrorKind::AlreadyExists.into()) } else { fs::rename(&beside, path) }
    };
    write().inspect_err(|_| {
        // The first error is the one that tells; what is left of the file is in nobody's way.
        let _ = fs::remove_file(&beside);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_there_as_a_whole_and_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv");
        write(&path, b"one", Earlier::Stays).unwrap();
        let again = write(&path, b"two", Earlier::Stays).unwrap_err();
        assert_eq!((again.kind(), fs::read(&path).unwrap()), (io::ErrorKind::AlreadyExists, b"one".to_vec()));
        write(&path, b"two", Earlier::Goes).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        // A folder in its place is no file that could go.
        fs::create_dir(folder.path().join("folder")).unwrap();
        assert!(write(&folder.path().join("folder"), b"three", Earlier::Goes).is_err());
        assert!(write(&folder.path().join("missing/out.csv"), b"three", Earlier::Goes).is_err());
        assert!(write(Path::new("/"), b"three", Earlier::Goes).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left beside them");
    }
}
