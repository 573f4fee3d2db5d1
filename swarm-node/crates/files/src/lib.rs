//! Small files of a node.
//!
//! | module | what it keeps true |
//! |---|---|
//! | [`text_file`] | a file that a person wrote is read whole, within a limit, in UTF-8 |
//! | [`private`] | a file with a secret can be read by its owner alone |
//! | [`whole`] | a file appears with all of its content or not at all |
//!
//! ```
//! use swarm_files::text_file;
//! use swarm_files::whole::{Access, Reserved};
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("swarm.toml");
//! Reserved::new(&path, Access::Umask, 11)?.replace(b"rounds = 3\n")?;
//! assert_eq!(text_file::read(&path, 1024)?, "rounds = 3\n");
//! # Ok::<(), std::io::Error>(())
//! ```

pub mod private;
pub mod text_file;
pub mod whole;
