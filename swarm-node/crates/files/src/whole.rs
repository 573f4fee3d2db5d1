//! Files that appear whole or not at all.
//!
//! ```text
//! Reserved::new ─▶ a temporary file in the folder, with room for the content
//!       └─ create or replace ─▶ written, synced, renamed, folder synced
//! ```
//! A crash leaves the old state or the new one, and at most a file named `.partial-…` that nobody
//! reads. Whoever pays for a content, or works long for it, reserves its place before: what the
//! system would refuse, it refuses then.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// What the names of temporary files begin with.
const PREFIX: &str = ".partial-";

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Its owner alone: mode 0600.
    Owner,
    /// Whoever the process's umask lets read.
    Umask,
}

/// The place of a file that is not written yet. Dropped, it leaves nothing behind.
#[derive(Debug)]
pub struct Reserved {
    file: NamedTempFile,
    path: PathBuf,
}

impl Reserved {
    /// Reserves a place for `path` and about `bytes` of content. The folder must be there.
    ///
    /// # Errors
    /// Whatever the system says: no such folder, no permission, no space.
    pub fn new(path: &Path, access: Access, bytes: usize) -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(PREFIX);
        #[cfg(unix)]
        if access == Access::Umask {
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        #[cfg(not(unix))]
        let _ = access;
        let mut file = builder.tempfile_in(folder_of(path))?;
        // Blocks that are allocated here need not be found when the content comes.
        io::copy(
            &mut io::Read::take(io::repeat(0), bytes as u64),
            file.as_file_mut(),
        )?;
        file.as_file().sync_all()?;
        Ok(Self {
            file,
            path: path.to_owned(),
        })
    }

    /// Gives the file its content and its name, if nothing has that name.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] if something has, and whatever the system says; no file is
    /// left then.
    pub fn create(mut self, bytes: &[u8]) -> io::Result<()> {
        fill(self.file.as_file_mut(), bytes)?;
        self.file
            .persist_noclobber(&self.path)
            .map_err(|refused| refused.error)?;
        sync_folder(folder_of(&self.path))
    }

    /// Gives the file its content and its name; a file that had that name is gone.
    ///
    /// # Errors
    /// Whatever the system says; the old file is untouched then.
    pub fn replace(mut self, bytes: &[u8]) -> io::Result<()> {
        fill(self.file.as_file_mut(), bytes)?;
        self.file
            .persist(&self.path)
            .map_err(|refused| refused.error)?;
        sync_folder(folder_of(&self.path))
    }
}

fn fill(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start(0))?;
    file.write_all(bytes)?;
    file.set_len(bytes.len() as u64)?;
    file.sync_all()
}

/// Gives a finished folder its name, where nothing has that name; both lie in one folder. The
/// files in it are synced already.
///
/// # Errors
/// Whatever the system says: the name is taken, or no permission.
pub fn name_folder(finished: &Path, path: &Path) -> io::Result<()> {
    fs::rename(finished, path)?;
    sync_folder(folder_of(path))
}

/// Sees to it that files can be made in a folder.
///
/// # Errors
/// Whatever the system says.
pub fn require_writable(folder: &Path) -> io::Result<()> {
    tempfile::Builder::new()
        .prefix(PREFIX)
        .tempfile_in(folder)?
        .close()
}

/// The folder that holds a path.
pub fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Makes names in a folder durable, where folders can be synced.
///
/// # Errors
/// Whatever the system says.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(folder)?.sync_all()
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn a_place_that_is_given_up_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let reserved = Reserved::new(&folder.path().join("a"), Access::Umask, 100).unwrap();
        assert_eq!(names(folder.path()), 1);
        drop(reserved);
        assert_eq!(names(folder.path()), 0);
    }

    #[test]
    fn content_may_be_shorter_or_longer_than_was_reserved() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        for bytes in [0, 3, 1000] {
            let content = vec![7; bytes];
            Reserved::new(&path, Access::Umask, 100)
                .unwrap()
                .replace(&content)
                .unwrap();
            assert_eq!(fs::read(&path).unwrap(), content);
        }
        assert_eq!(names(folder.path()), 1);
    }

    #[test]
    fn a_name_that_was_taken_in_between_is_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let reserved = Reserved::new(&path, Access::Owner, 9).unwrap();
        fs::write(&path, "theirs").unwrap();
        assert_eq!(
            reserved.create(b"ours").unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
        assert_eq!(
            (fs::read(&path).unwrap(), names(folder.path())),
            (b"theirs".to_vec(), 1)
        );
    }

    #[test]
    fn a_folder_that_is_not_there_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("none");
        let refused = Reserved::new(&missing.join("a"), Access::Umask, 9).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::NotFound);
        assert_eq!(
            require_writable(&missing).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        require_writable(folder.path()).unwrap();
        assert_eq!(names(folder.path()), 0);
    }

    #[test]
    fn a_folder_gets_its_name_with_all_that_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let [finished, path] = ["partial", "done"].map(|name| folder.path().join(name));
        fs::create_dir(&finished).unwrap();
        fs::write(finished.join("a"), "x").unwrap();
        name_folder(&finished, &path).unwrap();
        assert_eq!(
            (fs::read(path.join("a")).unwrap(), names(folder.path())),
            (b"x".to_vec(), 1)
        );
        fs::create_dir(&finished).unwrap();
        assert!(name_folder(&finished, &path).is_err(), "the name is taken");
        assert!(path.join("a").is_file());
    }

    #[cfg(unix)]
    #[test]
    fn access_is_what_was_asked_for() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let mode = |access| {
            let path = folder.path().join("a");
            Reserved::new(&path, access, 9)
                .unwrap()
                .replace(b"x")
                .unwrap();
            fs::metadata(&path).unwrap().permissions().mode() & 0o777
        };
        assert_eq!(mode(Access::Owner), 0o600);
        let usual = folder.path().join("usual");
        fs::write(&usual, "x").unwrap();
        assert_eq!(
            mode(Access::Umask),
            fs::metadata(&usual).unwrap().permissions().mode() & 0o777
        );
    }

    #[test]
    fn a_bare_name_lies_in_the_current_folder() {
        assert_eq!(folder_of(Path::new("node.key")), Path::new("."));
        assert_eq!(folder_of(Path::new("a/node.key")), Path::new("a"));
    }
}
