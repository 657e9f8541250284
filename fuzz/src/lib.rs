//! What both targets share: the inputs that a run begins with.

use std::{env, fs, path::PathBuf};

/// Writes `seeds` into the folder that `fuzz/run` names, before libFuzzer reads it.
pub fn plant(seeds: impl IntoIterator<Item = Vec<u8>>) {
    let Some(folder) = env::var_os("HUBBUB_FUZZ_SEEDS").map(PathBuf::from) else { return };
    fs::create_dir_all(&folder).expect("a folder that can be written");
    for (number, seed) in seeds.into_iter().enumerate() {
        fs::write(folder.join(format!("seed-{number:03}")), seed).expect("a folder that can be written");
    }
}
