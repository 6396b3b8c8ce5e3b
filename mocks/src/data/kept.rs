//! A folder that keeps the records of both fakes between calls: `erp.json`, `crm.json`, their ports, and a lock.
//!
//! Who has the folder open is the only one who does: two programs that wrote back what each had in memory would lose one
//! another's changes. Files are written beside the old ones and renamed, so a crash leaves the old or the new, and never
//! a part of either.

use crate::{crm, erp};
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

const ERP: &str = "erp.json";
const CRM: &str = "crm.json";
const PORTS: &str = "ports.json";

/// The folder, locked until it is dropped.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes the folder if need be, and locks it.
    pub fn open(path: &Path) -> Result<Self, String> {
        let wrong = |error: io::Error| format!("{}: {error}", path.display());
        fs::create_dir_all(path).map_err(wrong)?;
        let path = path.canonicalize().map_err(wrong)?;
        let lock = File::create(path.join("lock")).map_err(wrong)?;
        match lock.try_lock() {
            Ok(()) => Ok(Folder { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                Err(format!("{}: another mocks is at work on this folder", path.display()))
            }
            Err(TryLockError::Error(error)) => Err(wrong(error)),
        }
    }

    /// Opens a folder that has records already.
    pub fn open_kept(path: &Path) -> Result<(Self, erp::State, crm::State), String> {
        if !path.is_dir() {
            return Err(format!("{}: no such folder", path.display()));
        }
        let folder = Folder::open(path)?;
        let (erp, crm) = folder.load()?.ok_or_else(|| format!("{}: no records are kept here", path.display()))?;
        Ok((folder, erp, crm))
    }

    /// Returns the folder's absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads both states, or nothing where none are kept yet.
    pub fn load(&self) -> Result<Option<(erp::State, crm::State)>, String> {
        let erp = self.read(ERP, |file| erp::State::restore(file))?;
        let crm = self.read(CRM, |file| crm::State::restore(file))?;
        match (erp, crm) {
            (None, None) => Ok(None),
            (Some(erp), Some(crm)) => Ok(Some((erp, crm))),
            (None, Some(_)) => Err(self.wrong(ERP, "not there, though the other side's file is")),
            (Some(_), None) => Err(self.wrong(CRM, "not there, though the other side's file is")),
        }
    }

    /// Writes both states; neither file is replaced before both are on disk.
    pub fn save(&self, erp: &erp::State, crm: &crm::State) -> Result<(), String> {
        let erp = self.write(ERP, |out| erp.save(out))?;
        let crm = self.write(CRM, |out| crm.save(out))?;
        for (beside, name) in [(erp, ERP), (crm, CRM)] {
            fs::rename(beside, self.path.join(name)).map_err(|error| self.wrong(name, error))?;
        }
        // The renames themselves are on disk once the folder is.
        File::open(&self.path).and_then(|folder| folder.sync_all()).map_err(|error| self.wrong("", error))
    }

    /// Returns the ports under which the fakes of these records were last, the ERP's first. To whoever knows a service by its
    /// address, the same records under another one are another service.
    pub fn ports(&self) -> Result<[Option<u16>; 2], String> {
        let ports: Option<[u16; 2]> = self.read(PORTS, |file| Ok(serde_json::from_reader(file)?))?;
        Ok(ports.map_or([None; 2], |ports| ports.map(Some)))
    }

    /// Notes the ports, the ERP's first.
    pub fn keep_ports(&self, ports: [u16; 2]) -> Result<(), String> {
        let beside = self.write(PORTS, |out| Ok(serde_json::to_writer(out, &ports)?))?;
        fs::rename(beside, self.path.join(PORTS)).map_err(|error| self.wrong(PORTS, error))
    }

    fn read<T>(&self, name: &str, read: impl FnOnce(&mut File) -> io::Result<T>) -> Result<Option<T>, String> {
        match File::open(self.path.join(name)) {
            Ok(mut file) => read(&mut file).map(Some).map_err(|error| self.wrong(name, error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.wrong(name, error)),
        }
    }

    /// Writes a file beside the one of that name, down to the disk.
    fn write(&self, name: &str, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> Result<PathBuf, String> {
        let beside = self.path.join(format!("{name}.new"));
        let written = File::create(&beside).and_then(|file| {
            let mut file = BufWriter::new(file);
            write(&mut file)?;
            file.into_inner()?.sync_all()
        });
        written.map(|()| beside).map_err(|error| self.wrong(name, error))
    }

    fn wrong(&self, name: &str, error: impl fmt::Display) -> String {
        format!("{}: {error}", self.path.join(name).display())
    }
}
