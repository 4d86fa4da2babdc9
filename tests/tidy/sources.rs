//! The repository's text files, as the rules look at them.

use std::path::{Path, PathBuf};

/// A file: its path from the repository's root, and its text.
pub struct File {
    pub path: String,
    pub text: String,
}

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// Every text file below a folder; Rust files alone below a `src`.
pub fn all(folder: &str) -> Vec<File> {
    let root = root();
    let mut found = Vec::new();
    collect(&root.join(folder), &root, folder.contains("src"), &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn collect(folder: &Path, root: &Path, rust: bool, found: &mut Vec<File>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !name.starts_with('.') && name != "__pycache__" && name != "target" {
                collect(&path, root, rust, found);
            }
        } else if (!rust || name.ends_with(".rs"))
            && let Ok(text) = std::fs::read_to_string(&path)
        {
            let path = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            found.push(File { path, text });
        }
    }
}

impl File {
    pub fn is_under(&self, folder: &str) -> bool {
        self.path.starts_with(folder)
    }

    pub fn is_test(&self) -> bool {
        self.path.contains("test")
    }

    pub fn lines(&self) -> usize {
        self.text.lines().count()
    }

    /// Lines of code with their numbers, up to the file's own tests.
    pub fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
            .map(|(i, line)| (i + 1, line))
    }

    /// Whether the engine has a room of this name.
    pub fn is_a_module_of_the_crate(&self, name: &str) -> bool {
        let source = root().join("engine/src");
        source.join(name).is_dir() || source.join(format!("{name}.rs")).is_file()
    }

    /// Functions longer than the bound, by indentation: `fn` to the brace that closes it.
    pub fn long_functions(&self, lines_max: usize) -> Vec<(String, usize)> {
        let lines: Vec<&str> = self.text.lines().collect();
        let mut long = Vec::new();
        for (start, line) in lines.iter().enumerate() {
            let code = line.trim_start();
            let is_function = ["fn ", "pub fn ", "async fn ", "pub async fn ", "pub(super) fn "]
                .iter()
                .any(|word| code.starts_with(word));
            if !is_function || code.ends_with(';') {
                continue;
            }
            let indent = &line[..line.len() - code.len()];
            let close = format!("{indent}}}");
            let end = lines[start..].iter().position(|l| *l == close).unwrap_or(0);
            if end + 1 > lines_max {
                let name = code.split("fn ").nth(1).unwrap_or("").split(['(', '<']).next();
                long.push((name.unwrap_or("").to_owned(), end + 1));
            }
        }
        long
    }
}
