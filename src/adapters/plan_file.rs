//! Saved plans on disk: read with a bound, written as a whole or not at all, and never over what is no plan.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use crate::adapters::atomic_file::{self, Earlier};
use crate::report::saved::{self, Saved, Unusable};

/// Larger than any plan: some four kilobytes for each of a quarter of a million actions.
const BYTES_MAX: u64 = 1 << 30;

/// As much of a file as tells whether it is a plan.
const HEAD_BYTES: u64 = 256;

/// Why a plan could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("{0}")]
    File(io::Error),
    #[error(transparent)]
    Unusable(#[from] Unusable),
}

/// Reads a saved plan.
pub fn read(path: &Path) -> Result<Saved, ReadError> {
    let file = File::open(path).map_err(ReadError::File)?;
    let metadata = file.metadata().map_err(ReadError::File)?;
    if !metadata.is_file() || metadata.len() > BYTES_MAX {
        return Err(Unusable::NoPlan.into());
    }
    let mut bytes = Vec::new();
    file.take(BYTES_MAX).read_to_end(&mut bytes).map_err(ReadError::File)?;
    let text = String::from_utf8(bytes).map_err(|_| Unusable::NoPlan)?;
    Ok(saved::read(&text)?)
}

/// Tells whether a plan may be saved here: where nothing is, nothing is written yet, or another plan is.
pub fn may_save(path: &Path) -> io::Result<bool> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        file => file?,
    };
    if !file.metadata()?.is_file() {
        return Ok(false);
    }
    let mut head = Vec::new();
    file.take(HEAD_BYTES).read_to_end(&mut head)?;
    Ok(head.is_empty() || saved::begins_as_plan(&String::from_utf8_lossy(&head)))
}

/// Saves a plan: whoever reads the file sees what was there before or all of it.
pub fn save(path: &Path, plan: &Saved) -> io::Result<()> {
    if !may_save(path)? {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is another file, which is no plan"));
    }
    atomic_file::write(path, saved::text(plan).as_bytes(), Earlier::Goes)
}

/// Removes a saved plan that has had its time; what is no plan, or not there, stays as it is.
pub fn remove(path: &Path) -> io::Result<()> {
    if path.exists() && may_save(path)? { fs::remove_file(path) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    #[test]
    fn a_plan_comes_back_as_it_was_saved() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("night.plan");
        for round in 0..2 {
            let saved = Saved { program: format!("pipeline {round}"), ..samples::saved() };
            save(&path, &saved).unwrap();
            assert_eq!(read(&path).unwrap(), saved);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_no_plan_is_never_overwritten_or_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("full.yaml");
        for (text, may) in [
            ("version: 1\n", false),
            ("{\"plan\": 1}", false),
            ("", true),
            ("{\n  \"plan_format\": 1, cut o", true),
            ("{\"plan_format\":7}", true),
        ] {
            fs::write(&path, text).unwrap();
            assert_eq!(may_save(&path).unwrap(), may, "{text}");
            assert_eq!(save(&path, &samples::saved()).is_ok(), may, "{text}");
            if !may {
                remove(&path).unwrap();
                assert_eq!(fs::read_to_string(&path).unwrap(), text);
            }
        }
        assert!(!may_save(folder.path()).unwrap(), "a folder");
        assert!(save(&folder.path().join("missing/night.plan"), &samples::saved()).is_err());
    }

    #[test]
    fn what_cannot_be_a_plan_is_refused_without_reading_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("huge.plan");
        File::create(&path).unwrap().set_len(BYTES_MAX + 1).unwrap();
        assert!(matches!(read(&path), Err(ReadError::Unusable(Unusable::NoPlan))));
        assert!(matches!(read(folder.path()), Err(ReadError::Unusable(Unusable::NoPlan))));
        assert!(matches!(read(&folder.path().join("missing")), Err(ReadError::File(_))));
        fs::write(&path, b"{\"plan_format\": 1, \"\xff\"").unwrap();
        assert!(matches!(read(&path), Err(ReadError::Unusable(Unusable::NoPlan))));
    }
}
