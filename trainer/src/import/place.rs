//! How a corpus's images get into the data folder.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::error::ImportError;

/// How images get into the data folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Placement {
    /// Hard links: no space, no time, and they stay when the corpus is moved or deleted. Where the system refuses one
    /// (another disk, somebody else's file), that image is copied.
    Auto,
    /// Hard links or nothing.
    HardLink,
    /// Symbolic links: they work across disks, and break when the corpus moves.
    SymLink,
    /// Copies.
    Copy,
}

/// What was done with the images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Placed {
    /// By hard links.
    pub hard_links: u64,
    /// By symbolic links.
    pub symbolic_links: u64,
    /// By copies.
    pub copies: u64,
    /// Found in full, from an earlier run.
    pub already_there: u64,
}

/// What became of one image.
pub(super) enum Outcome {
    /// It is in the data folder.
    Placed,
    /// The corpus does not have it.
    Missing,
    /// The corpus has something that cannot be read.
    Unreadable(io::Error),
}

/// Puts images into one folder.
pub(super) struct Placer {
    images: PathBuf,
    how: Placement,
    /// A hard link was refused across disks: no other will be granted.
    other_disk: bool,
    /// The folder that was made last.
    made: PathBuf,
    pub(super) placed: Placed,
}

impl Placer {
    pub(super) fn new(images: PathBuf, how: Placement) -> Result<Self, ImportError> {
        fs::create_dir_all(&images).map_err(ImportError::write("create", &images))?;
        Ok(Self { images, how, other_disk: false, made: PathBuf::new(), placed: Placed::default() })
    }

    /// Puts `source` at `file`, a path relative to the images. What is there in full stays; anything else is replaced.
    pub(super) fn place(&mut self, source: &Path, file: &str) -> Result<Outcome, ImportError> {
        let size = match fs::metadata(source) {
            Ok(metadata) if metadata.is_file() => metadata.len(),
            Ok(_) => return Ok(Outcome::Unreadable(io::Error::other("it is no file"))),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Outcome::Missing),
            Err(error) => return Ok(Outcome::Unreadable(error)),
        };
        let target = self.images.join(file);
        self.make_folder(&target)?;
        match fs::metadata(&target) {
            Ok(found) if found.is_file() && found.len() == size => {
                self.placed.already_there += 1;
                return Ok(Outcome::Placed);
            }
            // Half a copy, or a link that leads nowhere.
            _ => match fs::remove_file(&target) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(ImportError::write("replace", &target)(error)),
            },
        }
        // A hard link to a symbolic link would be that link, and break with it.
        let source = match fs::canonicalize(source) {
            Ok(source) => source,
            Err(error) => return Ok(Outcome::Unreadable(error)),
        };
        match self.how {
            Placement::SymLink => {
                symlink(&source, &target).map_err(ImportError::write("link", &target))?;
                self.placed.symbolic_links += 1;
            }
            Placement::HardLink => {
                fs::hard_link(&source, &target).map_err(ImportError::write("hard-link", &target))?;
                self.placed.hard_links += 1;
            }
            Placement::Auto if !self.other_disk => match fs::hard_link(&source, &target) {
                Ok(()) => self.placed.hard_links += 1,
                Err(error) => {
                    self.other_disk = error.kind() == ErrorKind::CrossesDevices;
                    return self.copy(&source, &target);
                }
            },
            Placement::Auto | Placement::Copy => return self.copy(&source, &target),
        }
        Ok(Outcome::Placed)
    }

    fn make_folder(&mut self, target: &Path) -> Result<(), ImportError> {
        let folder = target.parent().expect("a file in the image folder");
        if self.made != folder {
            fs::create_dir_all(folder).map_err(ImportError::write("create", folder))?;
            folder.clone_into(&mut self.made);
        }
        Ok(())
    }

    /// Copies under a hidden name first, so that half a copy is never taken for an image. The name is the same in every
    /// run: what a killed one left is written over.
    fn copy(&mut self, source: &Path, target: &Path) -> Result<Outcome, ImportError> {
        let name = target.file_name().expect("a file in the image folder").to_string_lossy();
        let temporary = target.with_file_name(format!(".{name}.part-import.tmp"));
        let mut reader = match fs::File::open(source) {
            Ok(file) => file,
            Err(error) => return Ok(Outcome::Unreadable(error)),
        };
        let copied = fs::File::create(&temporary).and_then(|mut writer| io::copy(&mut reader, &mut writer));
        if let Err(error) = copied.and_then(|_| fs::rename(&temporary, target)) {
            // What is left of a full disk is needed for other things.
            let _ = fs::remove_file(&temporary);
            return Err(ImportError::write("copy to", target)(error));
        }
        self.placed.copies += 1;
        Ok(Outcome::Placed)
    }
}

#[cfg(unix)]
fn symlink(source: &Path, target: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(source, target)
}

#[cfg(windows)]
fn symlink(source: &Path, target: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(source, target)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Scene {
        folder: tempfile::TempDir,
    }

    impl Scene {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("a.png"), "pixels").unwrap();
            Self { folder }
        }

        fn placer(&self, how: Placement) -> Placer {
            Placer::new(self.folder.path().join("images"), how).unwrap()
        }

        fn source(&self) -> PathBuf {
            self.folder.path().join("a.png")
        }

        fn target(&self) -> PathBuf {
            self.folder.path().join("images/p/a.png")
        }
    }

    #[test]
    fn every_way_gives_the_same_image_and_is_not_done_twice() {
        for how in [Placement::Auto, Placement::HardLink, Placement::SymLink, Placement::Copy] {
            let scene = Scene::new();
            for run in 0..2 {
                let mut placer = scene.placer(how);
                assert!(matches!(placer.place(&scene.source(), "p/a.png").unwrap(), Outcome::Placed));
                assert_eq!(placer.placed.already_there, run, "{how:?}");
            }
            assert_eq!(fs::read(scene.target()).unwrap(), b"pixels");
            assert_eq!(fs::read_dir(scene.target().parent().unwrap()).unwrap().count(), 1);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_hard_link_outlives_the_corpus_even_where_that_is_made_of_links() {
        use std::os::unix::fs::MetadataExt;
        let scene = Scene::new();
        let link = scene.folder.path().join("link.png");
        symlink(&scene.source(), &link).unwrap();
        let mut placer = scene.placer(Placement::Auto);
        placer.place(&link, "p/a.png").unwrap();
        assert_eq!(placer.placed.hard_links, 1);
        assert_eq!(fs::metadata(scene.target()).unwrap().nlink(), 2);
        fs::remove_file(&link).unwrap();
        fs::remove_file(scene.source()).unwrap();
        assert_eq!(fs::read(scene.target()).unwrap(), b"pixels");
    }

    #[test]
    fn half_a_copy_and_a_dead_link_are_replaced() {
        let scene = Scene::new();
        let mut placer = scene.placer(Placement::Copy);
        fs::create_dir_all(scene.target().parent().unwrap()).unwrap();
        fs::write(scene.target(), "pix").unwrap();
        placer.place(&scene.source(), "p/a.png").unwrap();
        assert_eq!(fs::read(scene.target()).unwrap(), b"pixels");
        assert_eq!(placer.placed, Placed { copies: 1, ..Placed::default() });
        #[cfg(unix)]
        {
            fs::remove_file(scene.target()).unwrap();
            symlink(Path::new("/nowhere/at/all"), &scene.target()).unwrap();
            placer.place(&scene.source(), "p/a.png").unwrap();
            assert_eq!(fs::read(scene.target()).unwrap(), b"pixels");
        }
    }

    #[test]
    fn what_is_not_there_or_no_file_is_told() {
        let scene = Scene::new();
        let mut placer = scene.placer(Placement::Auto);
        assert!(matches!(placer.place(Path::new("gone.png"), "g.png").unwrap(), Outcome::Missing));
        assert!(matches!(placer.place(scene.folder.path(), "f.png").unwrap(), Outcome::Unreadable(_)));
        assert_eq!(placer.placed, Placed::default());
    }
}
