//! Archives as files: plain or gzip by their name.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};
use flate2::read::MultiGzDecoder;

/// The bytes of an archive, unzipped.
pub(crate) fn open(file: &Path) -> Result<Box<dyn Read>> {
    let opened = File::open(file).with_context(|| format!("cannot open {}", file.display()))?;
    Ok(match file.extension() {
        Some(extension) if extension == "gz" => Box::new(MultiGzDecoder::new(opened)),
        _ => Box::new(opened),
    })
}

/// Its name, without its folder.
pub(crate) fn name(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
