//! Files that are written for people: as a whole or not at all.
//!
//! In go a path and bytes. They are written beside the path, brought to the disk, and take its name only then: whoever
//! looks there sees what was there before or all that is new, however full the disk is, and whoever writes there, too.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

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
    let (mut file, beside) = beside(path, &name.to_string_lossy())?;
    let mut write = || {
        file.write_all(bytes)?;
        file.sync_all()?;
        match earlier {
            Earlier::Goes => fs::rename(&beside, path),
            // Somebody may have been faster; a second name, unlike a new one, is given to nothing that is there.
            Earlier::Stays => match fs::hard_link(&beside, path) {
                Ok(()) => fs::remove_file(&beside).or(Ok(())),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
                // Not every file system has second names.
                Err(_) if is_taken() => Err(io::ErrorKind::AlreadyExists.into()),
                Err(_) => fs::rename(&beside, path),
            },
        }
    };
    write().inspect_err(|_| {
        // The first error is the one that tells; what is left of the file is in nobody's way.
        let _ = fs::remove_file(&beside);
    })
}

/// Makes a file beside a path, under a name that nobody else has: another process may bear our number, in another container
/// or before us, and may have left such a file behind when it was killed.
fn beside(path: &Path, name: &str) -> io::Result<(File, PathBuf)> {
    let mut number = 0;
    loop {
        let beside = path.with_file_name(format!(".{name}.{}-{number}.new", std::process::id()));
        match File::create_new(&beside) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            made => return made.map(|file| (file, beside)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

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

    /// Threads bear one process number, as processes of two containers may, or one that was killed and the next one.
    #[test]
    fn of_many_who_write_the_same_file_at_once_it_is_one_of_theirs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv");
        let contents: Vec<Vec<u8>> = (b'a'..=b'd').map(|letter| vec![letter; 100_000]).collect();
        for earlier in [Earlier::Goes, Earlier::Stays] {
            for round in 0..100 {
                let start = Barrier::new(contents.len());
                let one = |bytes: &Vec<u8>| {
                    start.wait();
                    write(&path, bytes, earlier).map_err(|error| error.kind())
                };
                let told: Vec<_> = std::thread::scope(|scope| {
                    let all: Vec<_> = contents.iter().map(|bytes| scope.spawn(|| one(bytes))).collect();
                    all.into_iter().map(|thread| thread.join().unwrap()).collect()
                });
                let found = fs::read(&path).unwrap();
                let whose =
                    contents.iter().position(|bytes| *bytes == found).expect("it is the whole file of one of them");
                let lost = match earlier {
                    Earlier::Goes => Ok(()),
                    Earlier::Stays => Err(io::ErrorKind::AlreadyExists),
                };
                let expected: Vec<_> =
                    (0..contents.len()).map(|writer| if writer == whose { Ok(()) } else { lost }).collect();
                assert_eq!(told, expected, "{earlier:?}, round {round}");
                assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
                fs::remove_file(&path).unwrap();
            }
        }
    }

    #[test]
    fn what_somebody_left_who_was_killed_is_in_nobodys_way() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv");
        let (_, left) = beside(&path, "out.csv").unwrap();
        write(&path, b"one", Earlier::Stays).unwrap();
        assert_eq!((fs::read(&path).unwrap(), left.exists()), (b"one".to_vec(), true));
    }
}
