//! The user's cache of native libraries, shared by all source trees.
//!
//! A library is made in a folder of its own and renamed into place when it is whole, under a
//! lock that the system lets go of when a process dies: two set-ups at once do the work once,
//! and a killed one leaves only a `.partial` folder that the next one clears away.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Lists the files of a finished library with their sizes in bytes.
const CONTENTS: &str = "xreport-contents.json";

/// Paths relative to the library's folder, with `/`, and sizes in bytes.
pub type Contents = BTreeMap<String, u64>;

/// The folder that holds one subfolder per library and pin.
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// The cache that the environment asks for; nothing is created yet.
    pub fn from_environment() -> Result<Self> {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        if let Some(root) = variable("XREPORT_NATIVE_CACHE") {
            let root = std::path::absolute(&root)
                .with_context(|| format!("XREPORT_NATIVE_CACHE=`{}` is no path", root.display()))?;
            return Ok(Self { root });
        }
        let user = if cfg!(windows) {
            variable("LOCALAPPDATA")
        } else {
            // The XDG rule: a relative path is ignored.
            variable("XDG_CACHE_HOME")
                .filter(|path| path.is_absolute())
                .or_else(|| variable("HOME").map(|home| home.join(".cache")))
        };
        let user = user.context(
            "the user's cache folder is not known: neither XDG_CACHE_HOME nor HOME is set\n\
             hint: set XREPORT_NATIVE_CACHE to a folder with 1 GB free",
        )?;
        Ok(Self { root: user.join("xreport").join("native") })
    }

    /// Where the library `name` lies, or will lie.
    pub fn folder(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The cache entry that `path` lies in, by its list of contents; `None` for a folder that no
    /// set-up made. An entry of another cache counts too: the cache may have been moved. A
    /// missing entry is told by its place in this cache.
    pub fn entry_of(&self, path: &Path) -> Option<String> {
        let entry = path
            .ancestors()
            .find(|folder| folder.parent() == Some(self.root.as_path()) || folder.join(CONTENTS).is_file())?;
        Some(entry.file_name()?.to_string_lossy().into_owned())
    }

    /// Makes sure that the library `name` is there and whole, by `fill` where it is not: `fill`
    /// unpacks into the empty folder it is given and returns what a good copy consists of.
    ///
    /// # Errors
    /// The cache cannot be written, or `fill` fails; the cache is then as it was.
    pub fn ensure(&self, name: &str, fill: impl FnOnce(&Path) -> Result<Contents>) -> Result<PathBuf> {
        let folder = self.folder(name);
        if damage(&folder).is_none() {
            return Ok(folder);
        }
        fs::create_dir_all(&self.root).with_context(|| {
            format!(
                "the cache `{}` cannot be made\nhint: set XREPORT_NATIVE_CACHE to a folder that you may write to",
                self.root.display()
            )
        })?;
        let lock = self.lock(name)?;
        // Another set-up may have filled it while this one waited.
        let Some(damage) = damage(&folder) else {
            return Ok(folder);
        };
        if lock.is_some() {
            self.clear_partial(name)?;
        }
        let partial = self.root.join(format!(".{name}.{}.partial", std::process::id()));
        fs::create_dir(&partial).with_context(|| format!("`{}` cannot be made", partial.display()))?;
        let filled = fill(&partial).and_then(|contents| publish(&partial, &folder, &contents, &damage));
        if filled.is_err() {
            // What made it fail is worth more to the user than a folder that stays behind.
            let _ = fs::remove_dir_all(&partial);
        }
        filled.map(|()| folder)
    }

    /// `None` on a file system without locks: the rename alone then keeps two set-ups apart.
    fn lock(&self, name: &str) -> Result<Option<File>> {
        let path = self.root.join(format!(".{name}.lock"));
        let file = File::create(&path).with_context(|| {
            format!(
                "`{}` cannot be written\nhint: set XREPORT_NATIVE_CACHE to a folder that you may write to",
                path.display()
            )
        })?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => {
                println!("another set-up is fetching {name}: waiting for it");
                file.lock().with_context(|| format!("`{}` cannot be locked", path.display()))?;
                Ok(Some(file))
            }
            Err(TryLockError::Error(_)) => Ok(None),
        }
    }

    /// Removes what killed set-ups left. Only under the lock: no other one is at work on `name`.
    fn clear_partial(&self, name: &str) -> Result<()> {
        let start = format!(".{name}.");
        for entry in fs::read_dir(&self.root).with_context(|| format!("`{}`", self.root.display()))? {
            let entry = entry?;
            let file_name = entry.file_name();
            let file_name = file_name.to_string_lossy();
            if file_name.starts_with(&start) && file_name.ends_with(".partial") {
                let path = entry.path();
                println!("removing what an interrupted set-up left: {}", path.display());
                fs::remove_dir_all(&path).with_context(|| format!("`{}` cannot be removed", path.display()))?;
            }
        }
        Ok(())
    }
}

/// Gives the finished folder its name.
fn publish(partial: &Path, folder: &Path, contents: &Contents, found: &str) -> Result<()> {
    let list = partial.join(CONTENTS);
    fs::write(&list, serde_json::to_vec(contents)?).with_context(|| format!("`{}`", list.display()))?;
    if let Some(damage) = damage(partial) {
        bail!("`{}` is not whole after unpacking: {damage}", partial.display());
    }
    if folder.exists() {
        println!("replacing {}: {found}", folder.display());
        let aside = partial.with_extension("old.partial");
        fs::rename(folder, &aside).with_context(|| format!("`{}` cannot be moved aside", folder.display()))?;
        fs::remove_dir_all(&aside).with_context(|| format!("`{}` cannot be removed", aside.display()))?;
    }
    match fs::rename(partial, folder) {
        Ok(()) => Ok(()),
        // Without locks another set-up may have been first: its copy is as good.
        Err(_) if damage(folder).is_none() => {
            fs::remove_dir_all(partial).with_context(|| format!("`{}` cannot be removed", partial.display()))
        }
        Err(error) => {
            Err(error).with_context(|| format!("`{}` cannot be renamed to `{}`", partial.display(), folder.display()))
        }
    }
}

/// What is wrong with a library in the cache; `None` when it is whole.
pub fn damage(folder: &Path) -> Option<String> {
    let list = folder.join(CONTENTS);
    let text = match fs::read(&list) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Some("it has no list of contents".to_owned());
        }
        Err(error) => return Some(format!("`{}` cannot be read: {error}", list.display())),
    };
    let contents: Contents = match serde_json::from_slice(&text) {
        Ok(contents) => contents,
        Err(error) => return Some(format!("`{}`: {error}", list.display())),
    };
    contents.iter().find_map(|(name, &expected)| match fs::metadata(folder.join(name)) {
        Ok(file) if file.len() == expected => None,
        Ok(file) => Some(format!("`{name}` has {} bytes, expected {expected}", file.len())),
        Err(error) => Some(format!("`{name}`: {error}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A cache in a folder of its own that goes away with the test.
    struct Scratch(Cache);

    impl Scratch {
        fn new(test: &str) -> Self {
            let root = std::env::temp_dir().join(format!("xtask-cache-{test}-{}", std::process::id()));
            fs::create_dir_all(&root).expect("a scratch folder");
            Self(Cache { root })
        }

        fn entries(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0.root).expect("the scratch folder");
            let mut names: Vec<_> =
                entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
            names.sort();
            names
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0.root);
        }
    }

    fn good(partial: &Path) -> Result<Contents> {
        fs::write(partial.join("library.so"), "12345")?;
        Ok(Contents::from([("library.so".to_owned(), 5)]))
    }

    #[test]
    fn a_failed_fill_leaves_nothing() {
        let scratch = Scratch::new("failed");
        let error = scratch.0.ensure("lib-1", |partial| {
            fs::write(partial.join("library.so"), "123")?;
            bail!("the network went away")
        });
        assert!(error.expect_err("the fill failed").to_string().contains("network"));
        assert_eq!(scratch.entries(), [".lib-1.lock"]);
    }

    #[test]
    fn an_incomplete_fill_is_not_published() {
        let scratch = Scratch::new("incomplete");
        let error = scratch.0.ensure("lib-1", |partial| {
            good(partial)?;
            Ok(Contents::from([("library.so".to_owned(), 6)]))
        });
        assert!(error.expect_err("a byte is missing").to_string().contains("5 bytes, expected 6"));
        assert_eq!(scratch.entries(), [".lib-1.lock"]);
    }

    #[test]
    fn a_damaged_library_and_a_killed_setups_rest_are_replaced() {
        let scratch = Scratch::new("damaged");
        let folder = scratch.0.ensure("lib-1", good).expect("filled");
        fs::write(folder.join("library.so"), "1").expect("cut short");
        let rest = scratch.0.root.join(".lib-1.4294967295.partial");
        fs::create_dir(&rest).expect("a killed set-up's folder");
        let other = scratch.0.root.join(".lib-2.4294967295.partial");
        fs::create_dir(&other).expect("another library's folder");
        scratch.0.ensure("lib-1", good).expect("filled again");
        assert_eq!(damage(&folder), None);
        assert_eq!(scratch.entries(), [".lib-1.lock", ".lib-2.4294967295.partial", "lib-1"]);
    }

    #[test]
    fn two_setups_at_once_fill_once() {
        let scratch = Scratch::new("two");
        let (fills, start) = (AtomicUsize::new(0), Barrier::new(2));
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    start.wait();
                    let fill = |partial: &Path| {
                        fills.fetch_add(1, Ordering::SeqCst);
                        std::thread::sleep(std::time::Duration::from_millis(50));
                        good(partial)
                    };
                    scratch.0.ensure("lib-1", fill).expect("filled by one of them");
                });
            }
        });
        assert_eq!(fills.load(Ordering::SeqCst), 1);
        assert_eq!(damage(&scratch.0.folder("lib-1")), None);
    }
}
