//! Paths that clients name, kept inside the folders meant for them.

use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

/// Longest path a client may name, in bytes.
const LONGEST: usize = 4096;

/// Links followed on one path; past it, they lead in a circle.
const MOST_LINKS: usize = 40;

/// Why a path is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfineError {
    #[error("the path is empty, too long, or holds a NUL")]
    Malformed,
    #[error("the path is outside of the folders that the server opens to its clients")]
    Outside,
    /// Never names what is there and what not outside of the folders.
    #[error("there is no such file")]
    Missing,
}

/// Where `asked`, relative to `root` or absolute, leads, if that is `root` or below it once `..`
/// and links are resolved. Neither needs to exist.
///
/// # Errors
/// [`ConfineError`].
pub fn below(root: &Path, asked: &str) -> Result<PathBuf, ConfineError> {
    if asked.is_empty() || asked.len() > LONGEST || asked.contains('\0') {
        return Err(ConfineError::Malformed);
    }
    let root = resolve(root).map_err(|_| ConfineError::Outside)?;
    let path = resolve(&root.join(asked)).map_err(|_| ConfineError::Outside)?;
    if path.starts_with(&root) { Ok(path) } else { Err(ConfineError::Outside) }
}

/// The file that `asked` names below one of `roots`, the first that has it.
///
/// # Errors
/// [`ConfineError::Missing`] where all that is wrong is that there is no such file.
pub fn file(roots: &[&Path], asked: &str) -> Result<PathBuf, ConfineError> {
    let mut error = ConfineError::Outside;
    for root in roots {
        match below(root, asked) {
            Ok(path) if path.is_file() => return Ok(path),
            Ok(_) => error = ConfineError::Missing,
            Err(ConfineError::Malformed) => return Err(ConfineError::Malformed),
            Err(_) => {}
        }
    }
    Err(error)
}

/// An absolute path without links, `.` and `..`. What does not exist is taken for a folder to be.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    let path = if path.is_absolute() { path.into() } else { std::env::current_dir()?.join(path) };
    // What is still to be walked, the next part last.
    let mut ahead = parts(&path);
    let mut resolved = PathBuf::from("/");
    let mut links = 0;
    while let Some(part) = ahead.pop() {
        if part == ".." {
            resolved.pop();
            continue;
        }
        let next = resolved.join(&part);
        match next.symlink_metadata() {
            Ok(found) if found.is_symlink() => {
                links += 1;
                if links > MOST_LINKS {
                    return Err(io::Error::other("too many links"));
                }
                let target = next.read_link()?;
                if target.is_absolute() {
                    resolved = PathBuf::from("/");
                }
                ahead.extend(parts(&target));
            }
            // A folder that may not be looked into cannot be known to lead nowhere else.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(error),
            _ => resolved = next,
        }
    }
    Ok(resolved)
}

/// The parts of a path that lead somewhere, in reverse.
fn parts(path: &Path) -> Vec<OsString> {
    let part = |component: Component| match component {
        Component::Normal(part) => Some(part.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().rev().filter_map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn nothing_leads_out_of_the_folder() {
        let base = tempfile::tempdir().expect("a folder");
        let base = base.path().canonicalize().expect("it exists");
        let root = base.join("root");
        fs::create_dir_all(root.join("inner")).expect("made");
        fs::create_dir(base.join("root-beside")).expect("made");
        symlink("/etc", root.join("etc")).expect("a link");
        symlink("../../root-beside", root.join("inner/up")).expect("a link");
        symlink("../inner", root.join("inner/same")).expect("a link");
        symlink("loop", root.join("loop")).expect("a link");

        let absolute = root.join("inner/x.wav");
        let inside = |asked: &str, at: &str| {
            assert_eq!(below(&root, asked), Ok(root.join(at)), "{asked}");
        };
        inside("a.wav", "a.wav");
        inside(".", "");
        inside("new/../b/./c.wav", "b/c.wav");
        inside("inner/same/d.wav", "inner/d.wav");
        inside("../root/e.wav", "e.wav");
        inside(&absolute.to_string_lossy(), "inner/x.wav");
        inside("...", "...");

        for outside in [
            "..",
            "../root-beside/x",
            "/etc/passwd",
            "/",
            "etc/passwd",
            "etc",
            "inner/up/x.wav",
            "new/../../x.wav",
            "inner/../../root-beside",
            "loop/x",
            "/path/to/output/directory",
        ] {
            assert_eq!(below(&root, outside), Err(ConfineError::Outside), "{outside}");
        }
        for odd in ["", "a\0b", &"x/".repeat(3000)] {
            assert_eq!(below(&root, odd), Err(ConfineError::Malformed));
        }
    }

    #[test]
    fn a_root_may_be_a_link_and_need_not_exist() {
        let base = tempfile::tempdir().expect("a folder");
        let base = base.path().canonicalize().expect("it exists");
        symlink(base.join("real"), base.join("root")).expect("a link");
        assert_eq!(below(&base.join("root"), "a/b"), Ok(base.join("real/a/b")));
        let relative = below(Path::new("surely-not-there"), "x").expect("inside");
        assert!(relative.is_absolute() && relative.ends_with("surely-not-there/x"));
    }

    #[test]
    fn files_are_found_in_the_first_folder_that_has_them() {
        let base = tempfile::tempdir().expect("a folder");
        let base = base.path().canonicalize().expect("it exists");
        let (one, two) = (base.join("one"), base.join("two"));
        fs::create_dir(&one).expect("made");
        fs::create_dir(&two).expect("made");
        fs::write(two.join("a.wav"), "x").expect("written");
        let roots = [one.as_path(), two.as_path()];
        assert_eq!(file(&roots, "a.wav"), Ok(two.join("a.wav")));
        assert_eq!(file(&roots, "b.wav"), Err(ConfineError::Missing));
        assert_eq!(file(&roots, "."), Err(ConfineError::Missing), "a folder is no file");
        assert_eq!(file(&roots, "/etc/passwd"), Err(ConfineError::Outside));
    }
}
