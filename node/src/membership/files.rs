//! Small files that are this user's alone and are replaced whole; PEM and hexadecimal.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use rustls::pki_types::pem::{self, SectionKind};

use crate::cli::failure::Failure;

/// Characters on a line of PEM (RFC 7468).
const PEM_LINE: usize = 64;

pub(super) fn make_directory(path: &Path) -> Result<(), Failure> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| unwritten(path, &error))
}

pub(super) fn unwritten(path: &Path, error: &io::Error) -> Failure {
    Failure::Failed(format!("cannot write {}: make it writable for this user ({error})", path.display()))
}

pub(super) fn damaged(path: &Path) -> Failure {
    Failure::Damaged(format!(
        "{} is missing or damaged: restore it from a backup, or remove the node and join anew with an empty --data-dir",
        path.display()
    ))
}

/// The text of a file; `None` when there is none.
pub(super) fn read_text(path: &Path) -> Result<Option<String>, Failure> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(damaged(path)),
        Err(error) => Err(Failure::Failed(format!("cannot read {}: {error}", path.display()))),
    }
}

/// Replaces `path` whole, mode 0600. On disk when this returns.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    // What a write that was cut off has left is not trusted for its mode.
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    sync_parent(path)
}

pub(super) fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

/// The sections of `label` in a PEM file.
pub(super) fn read_pem(path: &Path, label: &str) -> Result<Vec<Vec<u8>>, Failure> {
    let text = read_text(path)?.ok_or_else(|| damaged(path))?;
    let kind = SectionKind::try_from(label.as_bytes()).map_err(|_| damaged(path))?;
    let mut sections = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((found, der)) = pem::from_buf(&mut rest).map_err(|_| damaged(path))? {
        if found == kind {
            sections.push(der);
        }
    }
    if sections.is_empty() { Err(damaged(path)) } else { Ok(sections) }
}

/// `sections` as PEM.
pub(super) fn to_pem(label: &str, sections: &[impl AsRef<[u8]>]) -> String {
    use base64::Engine as _;
    let mut text = String::new();
    for section in sections {
        let body = base64::engine::general_purpose::STANDARD.encode(section);
        text += &format!("-----BEGIN {label}-----\n");
        for line in body.as_bytes().chunks(PEM_LINE) {
            text.push_str(&String::from_utf8_lossy(line));
            text.push('\n');
        }
        text += &format!("-----END {label}-----\n");
    }
    text
}

pub(super) fn to_hex(bytes: &[u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}
