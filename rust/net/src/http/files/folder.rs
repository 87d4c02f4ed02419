//! A folder that is served, as the settings describe it.

use std::path::PathBuf;

/// A folder whose files are served.
#[derive(Clone, Debug)]
pub struct Folder {
    /// Where it is. It is looked up anew in each turn, so another one may be put in its place.
    pub path: PathBuf,
    /// The file that stands for a folder; `None`: folders have none.
    pub index: Option<String>,
    /// Further fields of each answer that is not an error, already checked.
    pub fields: Vec<(String, String)>,
    /// Serve files, and from folders, whose names begin with a dot. `.well-known` is served anyway.
    pub dotfiles: bool,
    /// Symbolic links may lead out of the folder.
    pub follow_symlinks: bool,
    /// The most that the contents of small files may take in memory, all shards together.
    pub cache_bytes: usize,
}

impl Folder {
    /// A folder with nothing special about it.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Folder {
            path: path.into(),
            index: Some("index.html".into()),
            fields: Vec::new(),
            dotfiles: false,
            follow_symlinks: false,
            cache_bytes: 16 << 20,
        }
    }
}
