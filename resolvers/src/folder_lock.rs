//! One process at a time in a folder.
//!
//! The lock is on the folder itself and on the file `lock` in it, which is all that older versions look at and all that some
//! network file systems can lock. Either may be deleted while it is held: the lock is then on something that nobody else finds
//! any more. [`FolderLock::renew`] notices that.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

/// The lock on a folder, held until it is dropped.
#[derive(Debug)]
pub struct FolderLock {
    path: PathBuf,
    file: File,
    /// `None` where a folder cannot be locked.
    folder: Option<File>,
}

impl FolderLock {
    /// Locks a folder; `None`: another process has it.
    pub fn take(path: &Path) -> io::Result<Option<Self>> {
        let Some(file) = locked(open_file(path)?)? else { return Ok(None) };
        match lock_folder(path)? {
            Taken::By(folder) => Ok(Some(Self { path: path.to_owned(), file, folder })),
            Taken::Elsewhere => Ok(None),
        }
    }

    /// Whether the folder is still this process's. A folder or a file that was deleted and made anew meanwhile is locked anew;
    /// false: another process has it.
    pub fn renew(&mut self) -> io::Result<bool> {
        if self.folder.as_ref().is_some_and(|folder| !is_at(folder, &self.path)) {
            match lock_folder(&self.path)? {
                Taken::By(folder) => self.folder = folder,
                Taken::Elsewhere => return Ok(false),
            }
        }
        if !is_at(&self.file, &file_of(&self.path)) {
            let Some(file) = locked(open_file(&self.path)?)? else { return Ok(false) };
            self.file = file;
        }
        Ok(true)
    }
}

enum Taken {
    By(Option<File>),
    Elsewhere,
}

fn lock_folder(path: &Path) -> io::Result<Taken> {
    // On other systems a folder cannot be opened like a file, and nothing that is open can be deleted.
    if cfg!(not(unix)) {
        return Ok(Taken::By(None));
    }
    let folder = File::open(path)?;
    match folder.try_lock() {
        Ok(()) => Ok(Taken::By(Some(folder))),
        Err(TryLockError::WouldBlock) => Ok(Taken::Elsewhere),
        // Some network file systems lock only what is open for writing.
        Err(TryLockError::Error(_)) => Ok(Taken::By(None)),
    }
}

fn file_of(folder: &Path) -> PathBuf {
    folder.join("lock")
}

fn open_file(folder: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).open(file_of(folder))
}

fn locked(file: File) -> io::Result<Option<File>> {
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Whether an open file is what stands at a path.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    file.metadata().map(identity).ok() == fs::metadata(path).map(identity).ok()
}

#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    fs::exists(path).unwrap_or(true)
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;

    use super::FolderLock;

    #[test]
    fn a_folder_is_locked_although_its_lock_file_was_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let mut held = FolderLock::take(folder.path()).unwrap().unwrap();
        assert!(FolderLock::take(folder.path()).unwrap().is_none());
        fs::remove_file(folder.path().join("lock")).unwrap();
        assert!(FolderLock::take(folder.path()).unwrap().is_none(), "the folder itself is locked");
        assert!(held.renew().unwrap());
        drop(held);
        assert!(FolderLock::take(folder.path()).unwrap().is_some());
    }

    #[test]
    fn a_folder_that_was_made_anew_is_locked_anew_by_the_first_that_finds_it() {
        let around = tempfile::tempdir().unwrap();
        let path = around.path().join("data");
        for is_taken in [false, true] {
            fs::create_dir_all(&path).unwrap();
            let mut held = FolderLock::take(&path).unwrap().unwrap();
            fs::remove_dir_all(&path).unwrap();
            held.renew().unwrap_err();
            fs::create_dir(&path).unwrap();
            let other = is_taken.then(|| FolderLock::take(&path).unwrap().unwrap());
            assert_eq!(held.renew().unwrap(), !is_taken);
            assert!(is_taken || FolderLock::take(&path).unwrap().is_none());
            drop((held, other));
            fs::remove_dir_all(&path).unwrap();
        }
    }
}
