//! The files of the log.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;
use ulid::Ulid;

use crate::folder_lock::FolderLock;

/// How the files of segments end.
const EXTENSION: &str = "log";

/// The folder of the log, which this process has to itself.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    path: PathBuf,
    /// Held until the last of those who read and write is gone.
    lock: Arc<Mutex<FolderLock>>,
}

impl Folder {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        make(path)?;
        let lock = FolderLock::take(path)?.ok_or_else(|| in_use(path))?;
        Ok(Self { path: path.to_owned(), lock: Arc::new(Mutex::new(lock)) })
    }

    /// Sees to it that the folder is there and still this process's. Whether it had to be made anew, because somebody deleted it.
    pub(super) fn renew(&self) -> io::Result<bool> {
        let is_gone = !fs::exists(&self.path)?;
        if is_gone {
            make(&self.path)?;
        }
        if self.lock.lock().renew()? { Ok(is_gone) } else { Err(in_use(&self.path)) }
    }

    /// The segments' names, oldest first.
    pub(super) fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == EXTENSION)
                && let Some(name) = path.file_stem().and_then(|name| name.to_str())
            {
                names.push(name.to_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Bytes of all segments.
    pub(super) fn bytes(&self) -> io::Result<u64> {
        let mut bytes = 0;
        for name in self.names()? {
            bytes += fs::metadata(self.file(&name))?.len();
        }
        Ok(bytes)
    }

    /// Makes a new segment, and sees to it that it is there after a power failure. It is named like this, or greater: the last is
    /// always the newest, also when the clock was set back.
    pub(super) fn begin(&self, name: &str) -> io::Result<(String, File)> {
        let last = self.names()?.pop().filter(|last| last.as_str() >= name);
        let name = last.map_or_else(|| name.to_owned(), |last| following(&last));
        let mut options = OpenOptions::new();
        options.create_new(true).read(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(self.file(&name))?;
        if let Err(error) = File::open(&self.path).and_then(|folder| folder.sync_all()) {
            fs::remove_file(self.file(&name))?;
            return Err(error);
        }
        Ok((name, file))
    }

    /// A segment, for reading it.
    pub(super) fn read(&self, name: &str) -> io::Result<File> {
        File::open(self.file(name))
    }

    /// Deletes the segments before this one.
    pub(super) fn delete_before(&self, name: &str) -> io::Result<()> {
        for old in self.names()?.iter().filter(|old| old.as_str() < name) {
            fs::remove_file(self.file(old))?;
        }
        Ok(())
    }

    /// Keeps a segment for people to look at, whatever becomes of its name: a part of it could not be read.
    pub(super) fn keep(&self, name: &str) -> io::Result<()> {
        let (file, kept) = (self.file(name), self.file(name).with_extension("damaged"));
        match fs::hard_link(&file, &kept) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            // Not every file system has links.
            Err(_) => fs::copy(&file, &kept).map(drop),
            Ok(()) => Ok(()),
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name).with_extension(EXTENSION)
    }
}

/// Makes the folder where it is missing, for its owner alone, and sees to it that it is there after a power failure.
fn make(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)?;
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        File::open(parent)?.sync_all()?;
    }
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    Ok(())
}

fn in_use(path: &Path) -> io::Error {
    let message = format!("{} is in use by another process: stop it first", path.display());
    io::Error::new(io::ErrorKind::ResourceBusy, message)
}

/// The name after this one.
fn following(name: &str) -> String {
    let next = Ulid::from_string(name).ok().and_then(|last| last.increment().ok());
    next.map_or_else(|| format!("{name}0"), |next| next.to_string())
}
