//! The data folder: one process at a time, and the key file of `dev`.

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use mullion_resolvers::folder_lock::FolderLock;

use crate::config::encryption_key;

/// A data folder that this process holds until the value is dropped.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    _lock: FolderLock,
}

impl DataFolder {
    /// Makes the folder if it is new, and locks it.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        make(path).with_context(|| format!("the data folder {} cannot be made", path.display()))?;
        keep_private(path).with_context(|| format!("the data folder {} cannot be closed to others", path.display()))?;
        let lock = FolderLock::take(path);
        match lock.with_context(|| format!("the data folder {} cannot be locked", path.display()))? {
            Some(lock) => Ok(Self { path: path.to_owned(), _lock: lock }),
            None => bail!(
                "the data folder {} is in use by another process: stop it, or name another folder with --data",
                path.display()
            ),
        }
    }

    /// A path in the folder.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder's own encryption key, made at the first start, readable by its owner only.
    pub fn encryption_key(&self) -> anyhow::Result<[u8; 32]> {
        let file = self.join("encryption.key");
        match fs::read_to_string(&file) {
            Ok(text) => encryption_key(&text).with_context(|| format!("{} does not hold a key", file.display())),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let key = new_encryption_key()?;
                write_private(&file, &STANDARD.encode(key))
                    .with_context(|| format!("{} cannot be written", file.display()))?;
                Ok(key)
            }
            Err(error) => Err(error).with_context(|| format!("{} cannot be read", file.display())),
        }
    }
}

/// A new key, from the operating system.
pub fn new_encryption_key() -> anyhow::Result<[u8; 32]> {
    let mut key = [0; 32];
    getrandom::fill(&mut key)
        .map_err(|error| anyhow::anyhow!("the operating system gives no random bytes: {error}"))?;
    Ok(key)
}

/// Makes a data folder, if there is none, for its owner alone.
pub(crate) fn make(path: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Lets only the owner into the folder: it holds messages, names and sealed tokens.
fn keep_private(path: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    Ok(())
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// The folder of the inbox's log, beside the database's file.
pub(crate) fn inbox_folder(database: &Path) -> PathBuf {
    let mut folder = database.as_os_str().to_owned();
    folder.push("-inbox");
    folder.into()
}

#[cfg(test)]
mod tests {
    use super::DataFolder;

    #[test]
    fn a_folder_in_use_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let held = DataFolder::open(folder.path()).unwrap();
        let error = DataFolder::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("in use"), "{error}");
        drop(held);
        DataFolder::open(folder.path()).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_new_folder_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        super::make(&path).unwrap();
        super::make(&path).unwrap();
        for made in [path.as_path(), path.parent().unwrap()] {
            assert_eq!(std::fs::metadata(made).unwrap().permissions().mode() & 0o777, 0o700);
        }
    }

    #[test]
    fn the_key_file_stays_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::open(folder.path()).unwrap();
        let key = data.encryption_key().unwrap();
        assert_eq!(data.encryption_key().unwrap(), key);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(data.join("encryption.key")).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }
}
