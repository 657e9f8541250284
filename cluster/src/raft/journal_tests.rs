//! Files cut and flipped at every byte.

use super::*;

fn records() -> Vec<Vec<u8>> {
    vec![b"first".to_vec(), b"the second".to_vec(), vec![0; 40], b"last one".to_vec()]
}

fn written() -> (tempfile::TempDir, PathBuf, Vec<u8>) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("journal");
    let (mut journal, found) = Journal::open(&path).expect("a new file");
    assert!(found.is_empty());
    journal.append(&records()[..2], true).expect("written");
    journal.append(&records()[2..], true).expect("written");
    let bytes = std::fs::read(&path).expect("there");
    assert_eq!(bytes.len(), journal.len());
    (directory, path, bytes)
}

#[test]
fn a_file_cut_at_any_byte_opens_with_the_records_that_were_whole_and_can_be_written_again() {
    let (_directory, path, bytes) = written();
    let (mut ends, mut end) = (vec![FILE_HEAD_BYTES], FILE_HEAD_BYTES);
    for record in records() {
        end += RECORD_HEAD_BYTES + record.len();
        ends.push(end);
    }
    for cut in 0..=bytes.len() {
        std::fs::write(&path, &bytes[..cut]).expect("cut");
        let whole = ends.iter().filter(|end| **end <= cut).count().saturating_sub(1);
        let (mut journal, found) = Journal::open(&path).expect("a torn tail is repaired");
        assert_eq!(found, records()[..whole], "cut at {cut}");
        journal.append(&[b"after".to_vec()], true).expect("written");
        let (_, found) = Journal::open(&path).expect("good");
        assert_eq!(found.last().map(Vec::as_slice), Some(&b"after"[..]));
        assert_eq!(found.len(), whole + 1);
    }
}

#[test]
fn a_flipped_byte_before_the_last_record_is_refused_and_in_it_loses_that_record_alone() {
    let (_directory, path, bytes) = written();
    let last = bytes.len() - RECORD_HEAD_BYTES - b"last one".len();
    for at in FILE_HEAD_BYTES..bytes.len() {
        for bit in [1, 0x80] {
            let mut flipped = bytes.clone();
            flipped[at] ^= bit;
            std::fs::write(&path, flipped).expect("written");
            match Journal::open(&path) {
                Err(JournalError::Damaged { .. }) => assert!(at < last, "byte {at}"),
                Ok((_, found)) => {
                    assert!(at >= last, "byte {at} was flipped and nobody saw it");
                    assert_eq!(found, records()[..3]);
                }
                Err(other) => panic!("byte {at}: {other}"),
            }
        }
    }
    for at in 0..FILE_HEAD_BYTES {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        std::fs::write(&path, flipped).expect("written");
        assert!(matches!(Journal::open(&path), Err(JournalError::NotAJournal { .. })));
    }
}

#[test]
fn a_record_inside_another_ones_bytes_is_not_taken_for_a_record() {
    let (_directory, path, bytes) = written();
    let copied = bytes[FILE_HEAD_BYTES..].to_vec();
    let (mut journal, _) = Journal::open(&path).expect("good");
    journal.append(&[copied], true).expect("written");
    let mut torn = std::fs::read(&path).expect("there");
    torn.pop();
    std::fs::write(&path, torn).expect("cut");
    let (_, found) = Journal::open(&path).expect("the copy is no record");
    assert_eq!(found, records());
}

#[test]
fn a_rewritten_file_holds_only_what_was_given_and_goes_on() {
    let (_directory, path, _) = written();
    let (mut journal, _) = Journal::open(&path).expect("good");
    journal.rewrite(&records()[3..]).expect("rewritten");
    journal.append(&records()[..1], true).expect("written");
    let (_, found) = Journal::open(&path).expect("good");
    assert_eq!(found, [records()[3].clone(), records()[0].clone()]);
    assert!(!path.with_extension("new").exists());
}

#[test]
fn an_empty_or_enormous_record_is_not_written() {
    let (_directory, path, bytes) = written();
    let (mut journal, _) = Journal::open(&path).expect("good");
    assert!(journal.append(&[Vec::new()], true).is_err());
    assert!(journal.append(&[vec![0; RECORD_BYTES_MAX + 1]], true).is_err());
    assert_eq!(std::fs::read(&path).expect("there"), bytes);
}
