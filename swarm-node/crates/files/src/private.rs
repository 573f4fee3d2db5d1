//! Small files with secrets: [`whole`], never written over another, readable by their owner alone,
//! and read into memory that is wiped.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use zeroize::Zeroizing;

use super::whole::{self, Access, Reserved};

/// Creates `path` with `bytes`, mode 0600; missing folders are made.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] if something has this name, and whatever the system says.
pub fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(whole::folder_of(path))?;
    Reserved::new(path, Access::Owner, bytes.len())?.create(bytes)
}

/// Reads from an open file, at most `limit` bytes, into memory that is wiped.
///
/// # Errors
/// [`io::ErrorKind::FileTooLarge`] if there is more, and whatever the system says.
pub fn read(file: &File, limit: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    // The whole capacity at once: a growing buffer would leave copies behind that nobody wipes.
    let mut bytes = Zeroizing::new(Vec::with_capacity(limit + 1));
    file.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    match bytes.len() > limit {
        true => Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it has more than {limit} bytes"),
        )),
        false => Ok(bytes),
    }
}

/// The permissions of a file if they let others than its owner in; always `None` where files have
/// no such bits.
///
/// # Errors
/// Whatever the system says.
#[cfg(unix)]
pub fn exposed_mode(file: &File) -> io::Result<Option<u32>> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = file.metadata()?;
    let mode = metadata.permissions().mode() & 0o777;
    // A folder has no content to expose; reading it fails by its own name.
    Ok((mode & 0o077 != 0 && !metadata.is_dir()).then_some(mode))
}

/// The permissions of a file if they let others than its owner in; always `None` where files have
/// no such bits.
///
/// # Errors
/// None here.
#[cfg(not(unix))]
pub fn exposed_mode(_file: &File) -> io::Result<Option<u32>> {
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_its_owners_alone_and_is_never_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/secret");
        create(&path, b"first").unwrap();
        let refused = create(&path, b"second").unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        let file = File::open(&path).unwrap();
        assert_eq!(exposed_mode(&file).unwrap(), None);
        assert_eq!(*read(&file, 5).unwrap(), b"first");
        let names = fs::read_dir(whole::folder_of(&path)).unwrap().count();
        assert_eq!(names, 1, "a temporary file was left behind");
    }

    #[test]
    fn files_are_read_within_a_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long");
        create(&path, &[7; 9]).unwrap();
        assert_eq!(read(&File::open(&path).unwrap(), 9).unwrap().len(), 9);
        assert_eq!(
            read(&File::open(&path).unwrap(), 8).unwrap_err().kind(),
            io::ErrorKind::FileTooLarge
        );
    }

    #[cfg(unix)]
    #[test]
    fn wide_permissions_are_seen() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("open");
        create(&path, b"x").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(
            exposed_mode(&File::open(&path).unwrap()).unwrap(),
            Some(0o640)
        );
    }
}
