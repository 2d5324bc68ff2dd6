//! The bytes of objects and parts: files under random names in 256 folders. A key never becomes a file name.
//!
//! A body is written to a draft in `incoming/`. Publishing makes file, name and folder durable. The row is written after that, and a file
//! is removed after its row: a crash leaves at most a file without a row, which the next start removes.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rand::RngCore as _;

/// The folder of the blobs.
pub(super) struct Blobs {
    blobs: PathBuf,
    incoming: PathBuf,
}

/// A blob that is being written. Dropping it removes the file.
pub(super) struct Draft {
    /// Where the bytes go.
    pub file: File,
    path: PathBuf,
    target: PathBuf,
    folder: PathBuf,
    name: String,
    published: bool,
}

impl Blobs {
    /// Opens or creates the folders, and removes every draft that a crash left.
    pub(super) fn open(data_dir: &Path) -> io::Result<Blobs> {
        let blobs = data_dir.join("blobs");
        let incoming = data_dir.join("incoming");
        fs::create_dir_all(&incoming)?;
        for number in 0..=u8::MAX {
            fs::create_dir_all(blobs.join(format!("{number:02x}")))?;
        }
        File::open(&blobs)?.sync_all()?;
        File::open(data_dir)?.sync_all()?;
        for entry in fs::read_dir(&incoming)? {
            fs::remove_file(entry?.path())?;
        }
        Ok(Blobs { blobs, incoming })
    }

    /// Removes every blob that is not in `referenced`; returns their number.
    pub(super) fn remove_unreferenced(&self, referenced: &HashSet<String>) -> io::Result<usize> {
        let mut removed = 0;
        for folder in fs::read_dir(&self.blobs)? {
            for entry in fs::read_dir(folder?.path())? {
                let entry = entry?;
                let known = entry
                    .file_name()
                    .to_str()
                    .is_some_and(|name| referenced.contains(name));
                if !known {
                    fs::remove_file(entry.path())?;
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }

    /// A new, empty draft.
    pub(super) fn draft(&self) -> io::Result<Draft> {
        let name = random_name();
        let path = self.incoming.join(&name);
        let folder = self.folder(&name);
        Ok(Draft {
            file: File::create_new(&path)?,
            target: folder.join(&name),
            folder,
            path,
            name,
            published: false,
        })
    }

    /// Opens a blob for reading; it stays readable even if it is removed meanwhile.
    pub(super) fn read(&self, name: &str) -> io::Result<File> {
        File::open(self.folder(name).join(name))
    }

    /// Removes an unreferenced blob. If that fails, the next start removes it.
    pub(super) fn remove(&self, name: &str) {
        if let Err(error) = fs::remove_file(self.folder(name).join(name)) {
            tracing::warn!(%error, "unreferenced blob not removed");
        }
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.blobs.join(name.get(..2).unwrap_or("00"))
    }
}

impl Draft {
    /// Makes the bytes durable under their final name; returns the name.
    pub(super) fn publish(mut self) -> io::Result<String> {
        self.file.sync_all()?;
        fs::rename(&self.path, &self.target)?;
        self.published = true;
        File::open(&self.folder)?.sync_all()?;
        Ok(self.name.clone())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.published {
            // The next start removes the file if this fails.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// 128 random bits in hexadecimal: names of blobs, ids of uploads and requests.
pub(super) fn random_name() -> String {
    let mut bytes = [0_u8; 16];
    rand::rng().fill_bytes(&mut bytes);
    hex::encode(bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::io::Write as _;

    use super::Blobs;

    #[test]
    fn start_removes_only_drafts_and_unreferenced_blobs() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(dir.path()).unwrap();
        let publish = |bytes: &[u8]| {
            let mut draft = blobs.draft().unwrap();
            draft.file.write_all(bytes).unwrap();
            draft.publish().unwrap()
        };
        let (kept, orphan) = (publish(b"kept"), publish(b"orphan"));
        std::fs::write(dir.path().join("incoming/left-by-a-crash"), b"x").unwrap();

        let blobs = Blobs::open(dir.path()).unwrap();
        assert_eq!(
            blobs
                .remove_unreferenced(&HashSet::from([kept.clone()]))
                .unwrap(),
            1
        );

        assert!(blobs.read(&kept).is_ok());
        assert!(blobs.read(&orphan).is_err());
        let incoming = std::fs::read_dir(dir.path().join("incoming")).unwrap();
        assert_eq!(incoming.count(), 0);
    }

    #[test]
    fn dropped_draft_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(dir.path()).unwrap();
        drop(blobs.draft().unwrap());
        let incoming = std::fs::read_dir(dir.path().join("incoming")).unwrap();
        assert_eq!(incoming.count(), 0);
    }
}
