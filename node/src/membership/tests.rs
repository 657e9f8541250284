//! Directories of members: whole, copied, damaged, used before.

use std::{fs, os::unix::fs::PermissionsExt};

use hubbub_cluster::identity::Authority;
use time::OffsetDateTime;

use super::*;

fn about() -> NewMember {
    NewMember {
        name: "ada".into(),
        addresses: vec!["127.0.0.1:7400".into()],
        zone: "z1".into(),
        region: String::new(),
        capacity: 2,
        role: Role::Voter,
        versions: FORMATS,
        key_sha256: [0; 32],
        data_dir: 0,
    }
}

fn member(path: &Path) -> SealingKey {
    let data = DataDir::hold(path).expect("a fresh directory");
    let (key, place) = begin(&data).expect("a key");
    let authority = Authority::new(cluster_id(9), OffsetDateTime::now_utc()).expect("an authority");
    let request = key.request().expect("a request");
    let certificate = authority.sign_request(NodeId(7), &request, OffsetDateTime::now_utc()).expect("signed");
    let sealing = SealingKey::random();
    let new = NewMembership {
        node: NodeId(7),
        cluster: 9,
        about: &about(),
        election_slot: 3,
        id_slot: 4,
        shard_bits: 6,
        certificate: &certificate,
        roots: &[authority.root().to_vec()],
        sealing: Some(&sealing),
        seeds: &[(NodeId(1), vec!["10.0.0.1:7400".into()])],
        founding: None,
    };
    new.write(&data, &place).expect("written");
    sealing
}

fn load(path: &Path) -> Result<Option<Membership>, Failure> {
    Membership::load(&DataDir::hold(path).expect("nobody holds it"))
}

#[test]
fn a_membership_is_read_as_it_was_written_and_its_files_are_its_users_alone() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    assert!(load(folder.path()).expect("nothing is wrong").is_none(), "a fresh directory is no member's");
    let sealing = member(folder.path());
    let membership = load(folder.path()).expect("whole").expect("a member's");
    assert_eq!((membership.node, membership.cluster, membership.role), (NodeId(7), 9, Role::Voter));
    assert_eq!((membership.election_slot, membership.id_slot, membership.capacity), (3, 4, 2));
    assert_eq!(membership.sealing, Some(sealing));
    assert_eq!(membership.seeds, [(NodeId(1), vec!["10.0.0.1:7400".to_owned()])]);
    membership.trust().expect("the roots are read");
    for name in [NODE, KEY, CERTIFICATE, ROOTS, SEALING, "place"] {
        let mode = fs::metadata(directory(folder.path()).join(name)).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let renewed = membership.certificate.clone();
    membership.keeper()(&renewed).expect("kept");
    assert_eq!(load(folder.path()).expect("whole").expect("a member's").certificate, renewed);
}

#[test]
fn a_copied_directory_does_not_start() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let (original, copy) = (folder.path().join("a"), folder.path().join("b"));
    member(&original);
    fs::create_dir_all(directory(&copy)).expect("made");
    for file in fs::read_dir(directory(&original)).expect("read") {
        let file = file.expect("an entry");
        fs::copy(file.path(), directory(&copy).join(file.file_name())).expect("copied");
    }
    let refused = load(&copy).expect_err("a copy");
    assert_eq!(refused.exit_code(), 6);
    let place = directory(&copy).join("place");
    let sentence = format!(
        "the data directory {} is a copy of a member's, and a member runs in one place only: join this node anew \
         with an empty --data-dir; or, if the original is gone for good, delete {} and start again",
        copy.display(),
        place.display()
    );
    assert_eq!(refused.to_string(), sentence);
    fs::remove_file(place).expect("deleted");
    load(&copy).expect("as the sentence says").expect("a member's");
    fs::rename(&original, folder.path().join("c")).expect("moved");
    load(&folder.path().join("c")).expect("a directory may move").expect("a member's");
}

#[test]
fn a_directory_joins_once_and_a_retry_keeps_its_key() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let path = folder.path().join("a");
    let data = DataDir::hold(&path).expect("a fresh directory");
    let (first, place) = begin(&data).expect("begun");
    let (again, same) = begin(&data).expect("begun again");
    assert_eq!((first.sha256(), place), (again.sha256(), same));
    drop(data);
    member(&path);
    let refused = begin(&DataDir::hold(&path).expect("free")).expect_err("a member's");
    let sentence = format!(
        "the data directory {} is that of a member (node 7 `ada`) already: `hubbub serve` runs it; choose an empty \
         --data-dir for another node",
        path.display()
    );
    assert_eq!((refused.exit_code(), refused.to_string()), (6, sentence));
}

#[test]
fn a_damaged_file_is_named() {
    for name in [NODE, KEY, CERTIFICATE, ROOTS, SEALING, "place"] {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        member(folder.path());
        let file = directory(folder.path()).join(name);
        fs::write(&file, "\u{0}\u{1} none of ours").expect("written");
        let refused = load(folder.path()).expect_err(name);
        assert_eq!(refused.exit_code(), 7, "{name}");
        assert!(refused.to_string().contains(&file.display().to_string()), "{refused}");
    }
}
